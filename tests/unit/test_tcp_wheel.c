#include "engine/tcp/wheel.h"

#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SLOTS   64
#define SHIFT   10
#define ENTRIES 4000

static struct wheel_pool pool;
static struct wheel wheel;

static void open_wheel(uint32_t now)
{
    assert_int_equal(wheel_pool_init(&pool, ENTRIES, SLOTS), 0);
    assert_int_equal(wheel_init(&wheel, &pool, SLOTS, SHIFT, now), 0);
}

static void close_wheel(void)
{
    wheel_dispose(&wheel);
    wheel_pool_dispose(&pool);
}

/* Takes entries until there is none; returns how many. */
static unsigned take_all(uint32_t now)
{
    unsigned count = 0;
    uint32_t entry;

    while (wheel_take(&wheel, now, &entry))
        count++;
    return count;
}

/*
 * Times are counted in 64 bits here, and the wheel gets their low 32, which wrap many times. Every entry is taken at the first look in, or
 * after, the unit of time in which it is due: at most one unit early, and never late by itself.
 */
static void entries_come_in_the_unit_in_which_they_are_due(void **state)
{
    static uint64_t due[ENTRIES];
    uint64_t now = UINT32_MAX - 5000, before;
    unsigned free_count = 0, taken = 0;
    static uint32_t unused[ENTRIES];
    struct random random;
    uint32_t entry;

    (void)state;
    random_seed(&random, 1);
    open_wheel((uint32_t)now);
    for (uint32_t i = 0; i < ENTRIES; i++)
        unused[free_count++] = i;
    while (now < (uint64_t)40 << 32) {
        for (unsigned i = (unsigned)random_below(&random, 8); i > 0 && free_count > 0; i--) {
            uint32_t number = unused[--free_count];
            uint32_t at;

            due[number] = now + random_below(&random, wheel_span(&wheel) + 1);
            at = wheel_add(&wheel, (uint32_t)due[number], number);
            assert_int_equal(at, (uint32_t)(due[number] >> SHIFT << SHIFT));
        }
        before = now;
        now += random_below(&random, 3) == 0 ? random_below(&random, (uint64_t)1 << 31) : random_below(&random, 3000);
        while (wheel_take(&wheel, (uint32_t)now, &entry)) {
            assert_true(due[entry] >> SHIFT <= now >> SHIFT);
            assert_true(due[entry] >> SHIFT >= before >> SHIFT);
            unused[free_count++] = entry;
            taken++;
        }
        for (uint32_t left = 0; left < 3; left++)
            assert_false(wheel_take(&wheel, (uint32_t)now, &entry));
    }
    assert_true(taken > 1000);
    close_wheel();
}

static void nothing_is_early(void **state)
{
    uint32_t due = 100 << SHIFT, entry, next;

    (void)state;
    open_wheel(60 << SHIFT);
    assert_false(wheel_next(&wheel, &next));
    wheel_add(&wheel, due + 77, 5);
    assert_true(wheel_next(&wheel, &next));
    assert_int_equal(next, due);
    assert_false(wheel_take(&wheel, due - 1, &entry));
    assert_true(wheel_take(&wheel, due, &entry));
    assert_int_equal(entry, 5);
    assert_false(wheel_next(&wheel, &next));
    close_wheel();
}

/* What is due further ahead than the wheel reaches is taken early, in its last slot, and not lost. */
static void beyond_its_end_entries_come_early(void **state)
{
    uint32_t at, entry;

    (void)state;
    open_wheel(0);
    at = wheel_add(&wheel, 1000u << SHIFT, 9);
    assert_int_equal(at, (SLOTS - 1) << SHIFT);
    assert_false(wheel_take(&wheel, at - 1, &entry));
    assert_true(wheel_take(&wheel, at, &entry));
    assert_int_equal(entry, 9);
    close_wheel();
}

static void what_is_past_comes_at_the_next_look(void **state)
{
    uint32_t now = 5000u << SHIFT, entry;

    (void)state;
    open_wheel(now);
    assert_false(wheel_take(&wheel, now + 500, &entry));
    assert_int_equal(wheel_add(&wheel, now - (100u << SHIFT), 1), now);
    assert_true(wheel_take(&wheel, now + 500, &entry));
    close_wheel();
}

static void after_a_pause_of_many_turns_everything_comes(void **state)
{
    uint32_t now = UINT32_MAX - 100;

    (void)state;
    open_wheel(now);
    for (uint32_t i = 0; i < 500; i++)
        wheel_add(&wheel, now + (i % 62 << SHIFT), i);
    now += 1000u * SLOTS << SHIFT;
    /* While entries are left, those that are added as due now come in this turn, too. */
    uint32_t entry;
    assert_true(wheel_take(&wheel, now, &entry));
    wheel_add(&wheel, now, 600);
    assert_int_equal(take_all(now), 500);
    assert_int_equal(take_all(now + (SLOTS << SHIFT)), 0);
    close_wheel();
}

static void a_clock_that_goes_back_takes_nothing(void **state)
{
    uint32_t now = 3000u << SHIFT, entry;

    (void)state;
    open_wheel(now);
    take_all(now + (2 << SHIFT));
    wheel_add(&wheel, now + (3 << SHIFT), 4);
    assert_false(wheel_take(&wheel, now - (10 << SHIFT), &entry));
    assert_int_equal(take_all(now + (3 << SHIFT)), 1);
    close_wheel();
}

/* As many as the pool is made for, again and again, all in one slot or spread over all: chunks come back to the pool. */
static void a_pool_holds_as_many_as_it_was_made_for(void **state)
{
    uint32_t now = 0;

    (void)state;
    open_wheel(now);
    for (unsigned round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < ENTRIES; i++)
            wheel_add(&wheel, now + (round % 2 == 0 ? 30u << SHIFT : i % 62 << SHIFT), i);
        now += SLOTS << SHIFT;
        assert_int_equal(take_all(now), ENTRIES);
    }
    close_wheel();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_the_unit_in_which_they_are_due),
        cmocka_unit_test(nothing_is_early),
        cmocka_unit_test(beyond_its_end_entries_come_early),
        cmocka_unit_test(what_is_past_comes_at_the_next_look),
        cmocka_unit_test(after_a_pause_of_many_turns_everything_comes),
        cmocka_unit_test(a_clock_that_goes_back_takes_nothing),
        cmocka_unit_test(a_pool_holds_as_many_as_it_was_made_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
