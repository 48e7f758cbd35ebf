#include "flashrelay/holds.h"
#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void nothing_is_held_at_first(void **state)
{
    struct holds holds;

    (void)state;
    assert_int_equal(holds_init(&holds, 8), 0);
    assert_true(holds_lowest(&holds) == HOLDS_NONE);
    holds_dispose(&holds);
}

static void the_lowest_is_the_lowest_still_held(void **state)
{
    struct holds holds;

    (void)state;
    assert_int_equal(holds_init(&holds, 8), 0);
    holds_add(&holds, 12);
    holds_add(&holds, 10);
    holds_add(&holds, 10);
    holds_add(&holds, 17);
    assert_true(holds_lowest(&holds) == 10);
    holds_remove(&holds, 10);
    assert_true(holds_lowest(&holds) == 10);
    holds_remove(&holds, 10);
    assert_true(holds_lowest(&holds) == 12);
    holds_remove(&holds, 17);
    assert_true(holds_lowest(&holds) == 12);
    holds_remove(&holds, 12);
    assert_true(holds_lowest(&holds) == HOLDS_NONE);
    holds_dispose(&holds);
}

static void it_may_begin_anywhere_after_it_was_empty(void **state)
{
    struct holds holds;

    (void)state;
    assert_int_equal(holds_init(&holds, 8), 0);
    holds_add(&holds, 1);
    holds_remove(&holds, 1);
    holds_add(&holds, UINT64_C(1) << 40);
    assert_true(holds_lowest(&holds) == UINT64_C(1) << 40);
    holds_add(&holds, (UINT64_C(1) << 40) - 7);
    assert_true(holds_lowest(&holds) == (UINT64_C(1) << 40) - 7);
    holds_dispose(&holds);
}

enum { WINDOW = 64, MODEL = 4096 };

static uint64_t model_lowest(const unsigned *counts)
{
    for (uint64_t i = 0; i < MODEL; i++)
        if (counts[i] > 0)
            return i;
    return HOLDS_NONE;
}

static void it_agrees_with_a_naive_count(void **state)
{
    unsigned counts[MODEL] = {0};
    struct random random;
    struct holds holds;

    (void)state;
    random_seed(&random, 7);
    assert_int_equal(holds_init(&holds, WINDOW), 0);
    for (uint64_t step = 0; step < 60000; step++) {
        /* The window moves slowly through the model; the holds that it leaves behind are removed first. */
        uint64_t base = step * (MODEL - WINDOW) / 60000;
        uint64_t sequence = base + random_below(&random, WINDOW);

        for (uint64_t old = base >= 2 ? base - 2 : 0; old < base; old++)
            for (; counts[old] > 0; counts[old]--)
                holds_remove(&holds, old);
        if (counts[sequence] > 0 && random_below(&random, 8) != 0) {
            counts[sequence]--;
            holds_remove(&holds, sequence);
        } else if (random_below(&random, 3) == 0) {
            counts[sequence]++;
            holds_add(&holds, sequence);
        }
        assert_true(holds_lowest(&holds) == model_lowest(counts));
    }
    holds_dispose(&holds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_at_first),
        cmocka_unit_test(the_lowest_is_the_lowest_still_held),
        cmocka_unit_test(it_may_begin_anywhere_after_it_was_empty),
        cmocka_unit_test(it_agrees_with_a_naive_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
