/* The back-off: first wait, growth, jitter on both sides, the maximum, the reset. */
#include "ingest/backoff.h"

#include "flashrelay/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { DRAWS = 2000 };

static void assert_draws_fill(struct random *random, uint64_t maximum_ns, int step, uint64_t low_ns, uint64_t high_ns)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (int draw = 0; draw < DRAWS; draw++) {
        struct backoff backoff;
        uint64_t wait = 0;

        backoff_init(&backoff, maximum_ns);
        for (int i = 0; i <= step; i++)
            wait = backoff_next(&backoff, random);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_in_range(least, low_ns, low_ns + (high_ns - low_ns) / 10);
    assert_in_range(most, high_ns - (high_ns - low_ns) / 10, high_ns);
}

static void waits_grow_by_half_with_jitter_of_half(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 1);
    assert_draws_fill(&random, 20 * NS_PER_S, 0, 250 * NS_PER_MS, 750 * NS_PER_MS);
    assert_draws_fill(&random, 20 * NS_PER_S, 1, 375 * NS_PER_MS, 1125 * NS_PER_MS);
    assert_draws_fill(&random, 20 * NS_PER_S, 2, 562500 * NS_PER_US, 1687500 * NS_PER_US);
}

static void no_wait_is_longer_than_the_maximum_and_jitter_stays(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 2);
    assert_draws_fill(&random, 20 * NS_PER_S, 30, 20 * NS_PER_S / 3, 20 * NS_PER_S);
    assert_draws_fill(&random, 300 * NS_PER_MS, 0, 100 * NS_PER_MS, 300 * NS_PER_MS);
}

static void reset_begins_again(void **state)
{
    struct random random;
    struct backoff backoff;

    (void)state;
    random_seed(&random, 3);
    backoff_init(&backoff, 20 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        backoff_next(&backoff, &random);
    assert_true(backoff_next(&backoff, &random) > 750 * NS_PER_MS);
    backoff_reset(&backoff);
    assert_in_range(backoff_next(&backoff, &random), 250 * NS_PER_MS, 750 * NS_PER_MS);
}

static void no_maximum_means_no_wait(void **state)
{
    struct random random;
    struct backoff backoff;

    (void)state;
    random_seed(&random, 4);
    backoff_init(&backoff, 0);
    assert_int_equal(backoff_next(&backoff, &random), 0);
    assert_int_equal(backoff_next(&backoff, &random), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_by_half_with_jitter_of_half),
        cmocka_unit_test(no_wait_is_longer_than_the_maximum_and_jitter_stays),
        cmocka_unit_test(reset_begins_again),
        cmocka_unit_test(no_maximum_means_no_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
