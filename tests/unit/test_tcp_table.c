#include "engine/tcp/table.h"

#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SLOTS 100000u

static uint64_t hashes[SLOTS];

static void draw_hashes(void)
{
    struct random random;

    random_seed(&random, 3);
    for (unsigned i = 0; i < SLOTS; i++)
        hashes[i] = random_next(&random);
}

/* True if a look-up comes to slot `slot`; counts the other slot numbers to which it comes. */
static bool finds(const struct table *table, uint32_t slot, unsigned *others)
{
    struct table_search search = {.hash = hashes[slot]};
    bool found = false;
    uint32_t candidate;

    while (table_next(table, &search, &candidate)) {
        assert_true(candidate < SLOTS);
        if (candidate == slot)
            found = true; /* again where a hash has the same bucket twice */
        else
            ++*others;
    }
    return found;
}

static void all_connections_are_found_at_half_load(void **state)
{
    struct table table;
    unsigned others = 0;

    (void)state;
    draw_hashes();
    assert_int_equal(table_init(&table, SLOTS), 0);
    assert_true((size_t)(table.bucket_mask + 1) * TABLE_BUCKET >= 2 * (size_t)SLOTS);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_true(table_add(&table, hashes[slot], slot));
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_true(finds(&table, slot, &others));
    /* A look-up passes at most 32 entries, of which the tag lets 1 in 1,024 through. */
    assert_true(others < SLOTS * 32 / 1024);
    for (uint32_t slot = 0; slot < SLOTS; slot += 2)
        table_remove(&table, hashes[slot], slot);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_int_equal(finds(&table, slot, &others), slot % 2);
    for (uint32_t slot = 0; slot < SLOTS; slot += 2)
        assert_true(table_add(&table, hashes[slot], slot));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        assert_true(finds(&table, slot, &others));
        table_remove(&table, hashes[slot], slot);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert_false(finds(&table, slot, &others));
    table_dispose(&table);
}

static void full_buckets_go_on_in_the_list_and_then_refuse(void **state)
{
    const uint32_t room = 2 * TABLE_BUCKET + TABLE_OVERFLOW, in_buckets = 7, in_list = 2 * TABLE_BUCKET + 3;
    struct table table;
    unsigned others = 0;

    (void)state;
    assert_int_equal(table_init(&table, 1024), 0);
    for (uint32_t slot = 0; slot <= room; slot++)
        hashes[slot] = 0x123456789abcdef0;
    for (uint32_t slot = 0; slot < room; slot++)
        assert_true(table_add(&table, hashes[slot], slot));
    assert_false(table_add(&table, hashes[room], room));
    for (uint32_t slot = 0; slot < room; slot++)
        assert_true(finds(&table, slot, &others));
    assert_int_equal(others, room * (room - 1));
    table_remove(&table, hashes[in_buckets], in_buckets);
    table_remove(&table, hashes[in_list], in_list);
    assert_false(finds(&table, in_buckets, &others));
    assert_false(finds(&table, in_list, &others));
    assert_true(table_add(&table, hashes[room], room));
    assert_true(table_add(&table, hashes[in_list], in_list));
    assert_false(table_add(&table, hashes[in_buckets], in_buckets));
    assert_true(finds(&table, room, &others));
    assert_true(finds(&table, in_list, &others));
    table_dispose(&table);
}

/* All have one hash but for its top bits, so they share both buckets, and only tags tell them apart. */
static void tags_tell_neighbours_in_a_bucket_apart(void **state)
{
    struct table table;
    unsigned others = 0;

    (void)state;
    assert_int_equal(table_init(&table, 8), 0); /* one bucket */
    for (uint32_t slot = 0; slot < 16; slot++) {
        hashes[slot] = (uint64_t)slot << 60;
        assert_true(table_add(&table, hashes[slot], slot));
    }
    for (uint32_t slot = 0; slot < 16; slot++)
        assert_true(finds(&table, slot, &others));
    assert_int_equal(others, 0);
    table_dispose(&table);
}

static void the_highest_slot_number_fits(void **state)
{
    struct table table;
    struct table_search search = {.hash = UINT64_MAX};
    uint32_t slot;

    (void)state;
    assert_int_equal(table_init(&table, TABLE_MAX_SLOTS), 0);
    assert_true(table_add(&table, UINT64_MAX, TABLE_MAX_SLOTS - 1));
    assert_true(table_next(&table, &search, &slot));
    assert_int_equal(slot, TABLE_MAX_SLOTS - 1);
    table_remove(&table, UINT64_MAX, TABLE_MAX_SLOTS - 1);
    table_dispose(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_connections_are_found_at_half_load),
        cmocka_unit_test(full_buckets_go_on_in_the_list_and_then_refuse),
        cmocka_unit_test(tags_tell_neighbours_in_a_bucket_apart),
        cmocka_unit_test(the_highest_slot_number_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
