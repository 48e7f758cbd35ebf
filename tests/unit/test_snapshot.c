/* Snapshots: readers see what was published last; what it replaced is freed once, and never while a reader may look at it. */
#include "flashrelay/snapshot.h"

#include "flashrelay/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READERS = 3, READS_PER_TURN = 4, ALIVE = 0x600d, DEAD = 0xdead };

struct table {
    int state;
    struct snapshot snapshot;
    uint64_t number;
};

static _Atomic unsigned destroyed;

static void destroy(struct snapshot *snapshot)
{
    struct table *table = LIST_ENTRY(snapshot, struct table, snapshot);

    assert_int_equal(table->state, ALIVE);
    table->state = DEAD;
    atomic_fetch_add(&destroyed, 1);
    free(table);
}

static struct snapshot *make(uint64_t number)
{
    struct table *table = calloc(1, sizeof *table);

    *table = (struct table){.state = ALIVE, .snapshot = {.destroy = destroy}, .number = number};
    return &table->snapshot;
}

static const struct table *read_slot(const struct snapshot_slot *slot)
{
    const struct snapshot *snapshot = snapshot_read(slot);

    return snapshot ? LIST_ENTRY(snapshot, const struct table, snapshot) : NULL;
}

static struct snapshot_group *create(unsigned readers)
{
    struct snapshot_group *group;

    atomic_store(&destroyed, 0);
    assert_int_equal(snapshot_group_create(&group, readers), 0);
    return group;
}

static void what_is_published_is_seen_at_once(void **state)
{
    struct snapshot_group *group = create(1);
    struct snapshot_slot slot = {0};

    (void)state;
    assert_null(read_slot(&slot));
    snapshot_publish(group, &slot, make(1));
    assert_int_equal(read_slot(&slot)->number, 1);
    snapshot_publish(group, &slot, make(2));
    assert_int_equal(read_slot(&slot)->number, 2);
    snapshot_publish(group, &slot, NULL);
    assert_null(read_slot(&slot));
    snapshot_group_destroy(group);
    assert_int_equal(destroyed, 2);
}

static void the_slowest_reader_keeps_what_was_replaced(void **state)
{
    struct snapshot_group *group = create(2);
    struct snapshot_slot slot = {0};
    const struct table *seen;

    (void)state;
    snapshot_publish(group, &slot, make(1));
    snapshot_pass_turn(group, 0);
    snapshot_pass_turn(group, 1);
    seen = read_slot(&slot); /* as reader 1, which uses it until its next turn */
    snapshot_publish(group, &slot, make(2));
    snapshot_pass_turn(group, 0);
    assert_int_equal(snapshot_reclaim(group), 1);
    assert_int_equal(seen->state, ALIVE);
    snapshot_pass_turn(group, 1);
    assert_int_equal(destroyed, 0);
    assert_int_equal(snapshot_reclaim(group), 0);
    assert_int_equal(destroyed, 1);
    snapshot_publish(group, &slot, NULL);
    snapshot_group_destroy(group);
    assert_int_equal(destroyed, 2);
}

static void a_reader_that_has_not_begun_keeps_everything(void **state)
{
    struct snapshot_group *group = create(2);
    struct snapshot_slot slot = {0};

    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        snapshot_publish(group, &slot, make(i));
        snapshot_pass_turn(group, 0);
    }
    assert_int_equal(snapshot_reclaim(group), 4);
    snapshot_pass_turn(group, 1);
    assert_int_equal(snapshot_reclaim(group), 0);
    assert_int_equal(destroyed, 4);
    snapshot_publish(group, &slot, NULL);
    snapshot_group_destroy(group);
    assert_int_equal(destroyed, 5);
}

static void slots_of_a_group_share_its_turns(void **state)
{
    struct snapshot_group *group = create(1);
    struct snapshot_slot first = {0}, second = {0};

    (void)state;
    snapshot_publish(group, &first, make(1));
    snapshot_publish(group, &second, make(2));
    snapshot_publish(group, &first, make(3));
    snapshot_publish(group, &second, make(4));
    assert_int_equal(snapshot_reclaim(group), 2);
    snapshot_pass_turn(group, 0);
    assert_int_equal(snapshot_reclaim(group), 0);
    assert_int_equal(read_slot(&first)->number, 3);
    assert_int_equal(read_slot(&second)->number, 4);
    snapshot_publish(group, &first, NULL);
    snapshot_publish(group, &second, NULL);
    snapshot_group_destroy(group);
    assert_int_equal(destroyed, 4);
}

static struct snapshot_group *shared;
static struct snapshot_slot shared_slots[2];
static _Atomic bool stopping;

struct reading {
    pthread_t thread;
    unsigned reader;
    uint64_t turns, wrong;
};

/* A reader that takes turns like a shard: it looks several times per turn and uses what it saw until the turn ends. */
static void *read_turns(void *context)
{
    struct reading *reading = context;
    uint64_t last = 0;

    while (!atomic_load(&stopping)) {
        const struct table *seen[READS_PER_TURN];

        snapshot_pass_turn(shared, reading->reader);
        for (unsigned i = 0; i < READS_PER_TURN; i++) {
            seen[i] = read_slot(&shared_slots[i % 2]);
            reading->wrong += i % 2 == 0 && seen[i]->number < last;
            last = i % 2 == 0 ? seen[i]->number : last;
        }
        for (unsigned i = 0; i < READS_PER_TURN; i++)
            reading->wrong += seen[i]->state != ALIVE;
        reading->turns++;
    }
    snapshot_pass_turn(shared, reading->reader);
    return NULL;
}

/* A thread that is not a reader of the group: it looks while it has the group's lock. */
static void *read_at_times(void *context)
{
    struct reading *reading = context;

    while (!atomic_load(&stopping)) {
        snapshot_group_lock(shared);
        reading->wrong += read_slot(&shared_slots[0])->state != ALIVE;
        reading->turns++;
        snapshot_group_unlock(shared);
    }
    return NULL;
}

static void publish_while_they_read(unsigned publications)
{
    for (unsigned i = 1; i <= publications; i++) {
        snapshot_publish(shared, &shared_slots[0], make(i));
        snapshot_publish(shared, &shared_slots[1], make(i));
    }
}

static void nothing_is_freed_while_readers_race(void **state)
{
    enum { PUBLICATIONS = 20000 };
    struct reading readings[READERS + 1] = {0};

    (void)state;
    shared = create(READERS);
    atomic_store(&stopping, false);
    publish_while_they_read(1);
    for (unsigned i = 0; i <= READERS; i++) {
        readings[i].reader = i;
        assert_int_equal(pthread_create(&readings[i].thread, NULL, i < READERS ? read_turns : read_at_times, &readings[i]), 0);
    }
    publish_while_they_read(PUBLICATIONS);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i <= READERS; i++) {
        pthread_join(readings[i].thread, NULL);
        assert_int_equal(readings[i].wrong, 0);
    }
    assert_int_equal(snapshot_reclaim(shared), 0);
    assert_int_equal(destroyed, 2 * PUBLICATIONS);
    snapshot_publish(shared, &shared_slots[0], NULL);
    snapshot_publish(shared, &shared_slots[1], NULL);
    snapshot_group_destroy(shared);
    assert_int_equal(destroyed, 2 * PUBLICATIONS + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_seen_at_once),
        cmocka_unit_test(the_slowest_reader_keeps_what_was_replaced),
        cmocka_unit_test(a_reader_that_has_not_begun_keeps_everything),
        cmocka_unit_test(slots_of_a_group_share_its_turns),
        cmocka_unit_test(nothing_is_freed_while_readers_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
