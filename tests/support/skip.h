/* Skipping a cmocka test so that the reason is shown at the end of `make test`. */
#ifndef TESTS_SUPPORT_SKIP_H
#define TESTS_SUPPORT_SKIP_H

/* Leaves the test as skipped; `reason` is a text such as "the kernel has no ...". Needs <cmocka.h> before it. */
#define skip_because(reason)                                        \
    do {                                                            \
        print_message("[  REASON  ] %s\n", reason);                 \
        skip();                                                     \
        __builtin_unreachable(); /* skip() jumps out of the test */ \
    } while (0)

#endif
