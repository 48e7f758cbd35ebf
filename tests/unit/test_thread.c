/* The registry of threads and what it counts. */
#include "flashrelay/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool find(const char *name, uint64_t *bytes)
{
    char found[THREAD_NAME_BYTES];

    for (unsigned i = 0; i < THREAD_REGISTRY_SLOTS; i++)
        if (thread_allocated_bytes(i, found, bytes) && strcmp(found, name) == 0)
            return true;
    return false;
}

static void *register_and_end(void *unused)
{
    char name[THREAD_NAME_BYTES];

    (void)unused;
    thread_register("a-name-that-is-far-too-long");
    pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "a-name-that-is-");
    thread_unregister();
    thread_unregister();
    return NULL;
}

static void threads_come_and_go(void **state)
{
    uint64_t bytes;
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < 2 * THREAD_REGISTRY_SLOTS; i++) {
        assert_int_equal(pthread_create(&thread, NULL, register_and_end, NULL), 0);
        pthread_join(thread, NULL);
    }
    assert_false(find("a-name-that-is-", &bytes));
}

static void a_thread_that_is_only_named_is_not_entered(void **state)
{
    char name[THREAD_NAME_BYTES], before[THREAD_NAME_BYTES];
    uint64_t bytes;

    (void)state;
    pthread_getname_np(pthread_self(), before, sizeof before);
    thread_set_name("only-named-and-no-more");
    pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "only-named-and-");
    assert_false(find("only-named-and-", &bytes));
    thread_set_name(before);
}

#ifdef FLASHRELAY_JEMALLOC
static void allocations_are_counted(void **state)
{
    uint64_t before, after;
    void *volatile block;

    (void)state;
    thread_register("tester");
    assert_true(find("tester", &before));
    assert_true(find("tester", &after));
    assert_int_equal(before, after);
    block = malloc(1 << 20);
    free(block);
    assert_true(find("tester", &after));
    assert_true(after - before >= 1 << 20);
    thread_unregister();
    assert_false(find("tester", &after));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_come_and_go),
        cmocka_unit_test(a_thread_that_is_only_named_is_not_entered),
#ifdef FLASHRELAY_JEMALLOC
        cmocka_unit_test(allocations_are_counted),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
