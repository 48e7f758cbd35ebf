/* The de-duplication memory: copies, repeats, the window, the oldest making room; and a random run against a plain list. */
#include "ingest/recent.h"

#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { WINDOW_NS = 1000, CAPACITY = 8 };

static int set_up(void **state)
{
    return recent_create((struct recent **)state, CAPACITY, WINDOW_NS);
}

static int tear_down(void **state)
{
    recent_destroy(*state);
    return 0;
}

static struct recent_identity identity_of(uint64_t number)
{
    return (struct recent_identity){.low = number, .high = ~number};
}

static bool is_copy(const struct recent *recent, uint64_t number, uint32_t connection, uint64_t now_ns, uint64_t *behind_ns)
{
    struct recent_identity identity = identity_of(number);

    return recent_is_copy(recent, &identity, connection, now_ns, behind_ns);
}

static void remember(struct recent *recent, uint64_t number, uint32_t connection, uint64_t now_ns)
{
    struct recent_identity identity = identity_of(number);

    recent_remember(recent, &identity, connection, now_ns);
}

static void another_connections_message_is_a_copy(void **state)
{
    struct recent *recent = *state;
    uint64_t behind = 0;

    assert_false(is_copy(recent, 1, 1, 100, &behind));
    remember(recent, 1, 1, 100);
    assert_true(is_copy(recent, 1, 2, 130, &behind));
    assert_int_equal(behind, 30);
    assert_false(is_copy(recent, 2, 2, 130, &behind));
}

static void what_a_connection_repeats_is_no_copy(void **state)
{
    struct recent *recent = *state;
    uint64_t behind = 0;

    remember(recent, 1, 1, 100);
    assert_false(is_copy(recent, 1, 1, 110, &behind));
    remember(recent, 1, 1, 500);
    assert_true(is_copy(recent, 1, 2, 1400, &behind));
    assert_int_equal(behind, 900);
}

static void the_window_ends(void **state)
{
    struct recent *recent = *state;
    uint64_t behind;

    remember(recent, 1, 1, 100);
    assert_true(is_copy(recent, 1, 2, 100 + WINDOW_NS - 1, &behind));
    assert_false(is_copy(recent, 1, 2, 100 + WINDOW_NS, &behind));
    remember(recent, 1, 2, 100 + WINDOW_NS);
    assert_true(is_copy(recent, 1, 1, 101 + WINDOW_NS, &behind));
    assert_false(is_copy(recent, 1, 2, 101 + WINDOW_NS, &behind));
}

static void both_halves_of_an_identity_count(void **state)
{
    struct recent *recent = *state;
    struct recent_identity one = {.low = 5, .high = 1}, other = {.low = 5, .high = 2};
    uint64_t behind;

    recent_remember(recent, &one, 1, 0);
    assert_false(recent_is_copy(recent, &other, 2, 0, &behind));
    assert_true(recent_is_copy(recent, &one, 2, 0, &behind));
}

static void the_oldest_makes_room(void **state)
{
    struct recent *recent = *state;
    uint64_t behind;

    for (uint64_t number = 0; number < CAPACITY; number++)
        remember(recent, number, 1, number);
    remember(recent, 0, 1, 50); /* 0 is the newest now, and 1 the oldest */
    remember(recent, 100, 1, 51);
    assert_true(is_copy(recent, 0, 2, 60, &behind));
    assert_false(is_copy(recent, 1, 2, 60, &behind));
    assert_true(is_copy(recent, 2, 2, 60, &behind));
    assert_true(is_copy(recent, 100, 2, 60, &behind));
}

struct plain_entry {
    uint64_t number, brought_ns;
    uint32_t connection;
};

struct plain_list {
    struct plain_entry entries[CAPACITY]; /* oldest first */
    unsigned count;
};

static struct plain_entry *plain_find(struct plain_list *list, uint64_t number)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->entries[i].number == number)
            return &list->entries[i];
    return NULL;
}

static void plain_remember(struct plain_list *list, uint64_t number, uint32_t connection, uint64_t now_ns)
{
    struct plain_entry *leaving = plain_find(list, number);

    if (!leaving && list->count == CAPACITY)
        leaving = &list->entries[0];
    if (leaving) {
        for (struct plain_entry *entry = leaving; entry + 1 < list->entries + list->count; entry++)
            *entry = entry[1];
        list->count--;
    }
    list->entries[list->count++] = (struct plain_entry){number, now_ns, connection};
}

/* The numbers have few home slots, so that entries are displaced, wrap around and are moved back all the time. */
static void a_random_run_agrees_with_a_plain_list(void **state)
{
    struct recent *recent = *state;
    struct plain_list list = {.count = 0};
    struct random random;
    uint64_t now = 0, copies = 0;

    random_seed(&random, 11);
    for (int step = 0; step < 200000; step++) {
        uint64_t number = random_below(&random, 5) * 16 + 13 + random_below(&random, 5), behind = 0;
        uint32_t connection = (uint32_t)random_below(&random, 3);
        const struct plain_entry *known = plain_find(&list, number);
        bool expected = known && known->connection != connection && now - known->brought_ns < WINDOW_NS;

        assert_int_equal(is_copy(recent, number, connection, now, &behind), expected);
        if (expected) {
            assert_int_equal(behind, now - known->brought_ns);
            copies++;
        } else {
            remember(recent, number, connection, now);
            plain_remember(&list, number, connection, now);
        }
        now += random_below(&random, 200);
    }
    assert_true(copies > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_connections_message_is_a_copy),
        TEST(what_a_connection_repeats_is_no_copy),
        TEST(the_window_ends),
        TEST(both_halves_of_an_identity_count),
        TEST(the_oldest_makes_room),
        TEST(a_random_run_agrees_with_a_plain_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
