/* What the shard does for a frame, without lag policy and metrics; timers. */
#include "bypass_floor/floor.h"

#include <rte_prefetch.h>

#define LEAST_TIMEOUT_US 10000

static inline void offer(struct floor *floor, uint32_t slot, uint64_t frame, uint32_t length)
{
    struct floor_subscriber *subscriber = &floor->subscribers[slot];
    struct floor_connection *connection = subscriber->connection;

    if (subscriber->cursor != frame || connection->extent_count == EXTENTS) {
        floor->blocked++;
        return;
    }
    if (subscriber->next_untaken == subscriber->cursor)
        subscriber->offered_at_ns = floor->now_ns;
    subscriber->cursor = frame + 1;
    connection->extents[connection->extent_count++] = (struct extent){frame, 0, length};
    connection->offered += length;
    floor_queue(floor, connection, slot);
}

void floor_offer(struct floor *floor, uint32_t first, uint32_t count)
{
    struct floor_stamp stamp = floor_begin(floor);
    uint64_t frame = floor->log.head - 1;
    uint32_t length = frame_log_get(&floor->log, frame)->length;

    while (floor->prefetched < first + count)
        floor_prefetch_next(floor);
    floor->prefetch_end = RTE_MIN(first + count + SLICE, floor->options.subscribers);
    for (uint32_t i = first; i < first + count; i++)
        offer(floor, floor->order[i], frame, length);
    floor_measured(floor, PART_SHARD, stamp);
}

void floor_note_progress(struct floor *floor, uint32_t first, uint32_t count)
{
    struct floor_stamp stamp = floor_begin(floor);

    for (uint32_t i = first; i < first + count; i++) {
        struct floor_subscriber *subscriber = &floor->subscribers[floor->order[i]];
        const struct floor_connection *connection = subscriber->connection;

        subscriber->next_untaken = connection->extent_count > 0 ? connection->extents[0].frame : subscriber->cursor;
    }
    floor_measured(floor, PART_SHARD, stamp);
}

/* --- timers --- */

static void enter_wheel(struct floor *floor, struct floor_connection *connection, uint32_t slot)
{
    enum wheel_part part = timer_wheel_part(&floor->wheel, connection->deadline_ms);
    uint32_t flag = part == WHEEL_NEAR ? CONNECTION_IN_NEAR : CONNECTION_IN_FAR;

    if (connection->flags & flag)
        return;
    connection->flags |= flag;
    timer_wheel_add(&floor->wheel, part, connection->deadline_ms, slot);
}

void floor_set_deadline(struct floor *floor, uint32_t slot)
{
    struct floor_connection *connection = &floor->connections[slot];
    uint32_t timeout_us = RTE_MAX(2 * connection->srtt_us, (uint32_t)LEAST_TIMEOUT_US); /* RFC 8985, 7.2 */

    if (connection->una == connection->nxt)
        return;
    connection->deadline_ms = (uint32_t)((floor->now_ns / 1000 + timeout_us) / 1000) + 1;
    enter_wheel(floor, connection, slot);
}

static void on_fired(void *context, enum wheel_part part, const uint32_t *slots, uint32_t count)
{
    struct floor *floor = context;
    uint32_t flag = part == WHEEL_NEAR ? CONNECTION_IN_NEAR : CONNECTION_IN_FAR;

    for (uint32_t i = 0; i < count; i++) {
        rte_prefetch0(&floor->connections[slots[i]].flags);
        rte_prefetch0(&floor->connections[slots[i]].deadline_ms);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct floor_connection *connection = &floor->connections[slots[i]];

        connection->flags &= ~flag;
        if (connection->deadline_ms == 0)
            continue;
        if (connection->deadline_ms > floor->wheel.now_ms) {
            enter_wheel(floor, connection, slots[i]);
            continue;
        }
        floor->timeouts++;
        connection->deadline_ms = 0;
    }
}

void floor_fire_timers(struct floor *floor)
{
    struct floor_stamp stamp = floor_begin(floor);

    timer_wheel_advance(&floor->wheel, floor->now_ns / 1000000, on_fired, floor);
    floor_measured(floor, PART_TIMERS, stamp);
}
