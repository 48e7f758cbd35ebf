/* The resolver: answers, errors, giving up, and being destroyed while a look-up runs. Only names that need no network. */
#include "ingest/resolver.h"
#include "support/skip.h"

#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void await(struct resolver *resolver, struct resolver_answer *answer)
{
    const struct timespec pause = {.tv_nsec = (long)NS_PER_MS};

    while (!resolver_take(resolver, answer))
        nanosleep(&pause, NULL);
}

static void a_name_has_addresses_with_the_port(void **state)
{
    struct resolver_answer answer;
    struct resolver *resolver;
    bool loopback = false;

    (void)state;
    assert_int_equal(resolver_create(&resolver), 0);
    assert_false(resolver_take(resolver, &answer));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(resolver_start(resolver, "localhost", 8545), 0);
        await(resolver, &answer);
        assert_in_range(answer.count, 1, RESOLVER_MAX_ADDRESSES);
        for (unsigned i = 0; i < answer.count; i++) {
            struct ip_address expected;

            assert_int_equal(answer.addresses[i].port, 8545);
            assert_int_equal(ip_address_parse(&expected, "127.0.0.1", 9), 0);
            loopback = loopback || ip_address_equal(&answer.addresses[i].ip, &expected);
        }
        assert_false(resolver_take(resolver, &answer));
    }
    assert_true(loopback);
    resolver_destroy(resolver);
}

static void a_link_local_address_keeps_its_interface(void **state)
{
    struct resolver_answer answer;
    struct resolver *resolver;

    (void)state;
    if (if_nametoindex("lo") == 0)
        skip_because("this machine has no interface lo");
    assert_int_equal(resolver_create(&resolver), 0);
    assert_int_equal(resolver_start(resolver, "fe80::1%lo", 1), 0);
    await(resolver, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.addresses[0].scope, if_nametoindex("lo"));
    resolver_destroy(resolver);
}

static void no_name_is_an_error(void **state)
{
    struct resolver_answer answer;
    struct resolver *resolver;

    (void)state;
    assert_int_equal(resolver_create(&resolver), 0);
    assert_int_equal(resolver_start(resolver, "not..a..name", 1), 0);
    await(resolver, &answer);
    assert_int_equal(answer.count, 0);
    assert_non_null(answer.error);
    resolver_destroy(resolver);
}

static void what_was_given_up_is_not_seen(void **state)
{
    struct resolver_answer answer;
    struct resolver *resolver;
    int busy;

    (void)state;
    assert_int_equal(resolver_create(&resolver), 0);
    for (int round = 0; round < 200; round++) {
        assert_int_equal(resolver_start(resolver, "127.0.0.1", 1), 0);
        resolver_cancel(resolver);
        assert_false(resolver_take(resolver, &answer));
        while ((busy = resolver_start(resolver, "127.0.0.2", 2)) == -EBUSY)
            continue;
        assert_int_equal(busy, 0);
        await(resolver, &answer);
        assert_int_equal(answer.count, 1);
        assert_int_equal(answer.addresses[0].port, 2);
    }
    resolver_destroy(resolver);
}

/* Asserts nothing after the end: the sanitizers find leaks and races. */
static void it_may_be_destroyed_at_any_time(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct resolver *resolver;

        assert_int_equal(resolver_create(&resolver), 0);
        assert_int_equal(resolver_start(resolver, "127.0.0.1", 1), 0);
        resolver_destroy(resolver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_addresses_with_the_port),
        cmocka_unit_test(a_link_local_address_keeps_its_interface),
        cmocka_unit_test(no_name_is_an_error),
        cmocka_unit_test(what_was_given_up_is_not_seen),
        cmocka_unit_test(it_may_be_destroyed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
