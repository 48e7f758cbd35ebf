#include "engine/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks kept for reuse, as many as a turn serves; a peak beyond it goes back to the allocator. */
#define KEPT_CONTROL_BLOCKS 256

static uint8_t *control_block_get(struct engine *engine)
{
    struct control_blocks *blocks = &engine->control_blocks;
    void *block = blocks->first;

    if (!block)
        return malloc(CONTROL_RUN_BYTES);
    blocks->first = *(void **)block;
    blocks->count--;
    return block;
}

static void control_block_put(struct engine *engine, uint8_t *block)
{
    struct control_blocks *blocks = &engine->control_blocks;

    if (blocks->count == KEPT_CONTROL_BLOCKS) {
        free(block);
        return;
    }
    *(void **)(void *)block = blocks->first;
    blocks->first = block;
    blocks->count++;
}

static void extent_dispose(struct engine *engine, struct extent *extent)
{
    if (extent->channel)
        return;
    if (extent->capacity == CONTROL_RUN_BYTES)
        control_block_put(engine, extent->bytes);
    else
        free(extent->bytes);
}

/* Brings held_sequence and the holds up to what the stream touches now. */
static void hold_update(struct engine *engine, struct connection *connection)
{
    uint64_t lowest = connection->pinned_sequence;
    struct holds *holds = engine->options.holds;

    for (unsigned i = 0; i < connection->extent_count; i++) {
        const struct extent *extent = &connection->extents[i];

        if (extent->channel && extent->from < lowest)
            lowest = extent->from;
    }
    if (lowest == connection->held_sequence)
        return;
    if (holds && lowest != HOLDS_NONE)
        holds_add(holds, lowest);
    if (holds && connection->held_sequence != HOLDS_NONE)
        holds_remove(holds, connection->held_sequence);
    connection->held_sequence = lowest;
}

static void pop_first(struct engine *engine, struct connection *connection)
{
    extent_dispose(engine, &connection->extents[0]);
    connection->extent_count--;
    memmove(&connection->extents[0], &connection->extents[1], connection->extent_count * sizeof(struct extent));
    connection->taken_bytes = 0;
}

void extents_init(struct connection *connection)
{
    *connection = (struct connection){.held_sequence = HOLDS_NONE, .pinned_sequence = HOLDS_NONE};
}

int extents_append_frames(struct engine *engine, struct connection *connection, struct channel *channel, uint64_t from,
                          uint64_t to)
{
    unsigned count = connection->extent_count;

    assert(from <= to);
    if (from == to)
        return 0;
    if (count > 0 && connection->extents[count - 1].channel == channel && connection->extents[count - 1].to == from) {
        connection->extents[count - 1].to = to;
        return 0;
    }
    if (count == CONNECTION_EXTENTS)
        return -ENOBUFS;
    connection->extents[count] = (struct extent){.channel = channel, .from = from, .to = to};
    connection->extent_count++;
    hold_update(engine, connection);
    return 0;
}

int extents_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length)
{
    unsigned count = connection->extent_count;
    struct extent *last = count > 0 ? &connection->extents[count - 1] : NULL;
    struct extent *run;

    assert(length <= UINT32_MAX);
    if (length == 0)
        return 0;
    if (last && !last->channel && last->capacity - last->length >= length) {
        memcpy(last->bytes + last->length, bytes, length);
        last->length += (uint32_t)length;
        return 0;
    }
    if (count == CONNECTION_EXTENTS)
        return -ENOBUFS;
    run = &connection->extents[count];
    *run = (struct extent){.length = (uint32_t)length};
    run->capacity = length <= CONTROL_RUN_BYTES ? CONTROL_RUN_BYTES : (uint32_t)length;
    run->bytes = length <= CONTROL_RUN_BYTES ? control_block_get(engine) : malloc(length);
    if (!run->bytes)
        return -ENOMEM;
    memcpy(run->bytes, bytes, length);
    connection->extent_count++;
    return 0;
}

/* The first frame of extents[0] of which no byte was taken or is on its way. */
static uint64_t first_unbegun_frame(const struct connection *connection)
{
    const struct extent *extent = &connection->extents[0];
    uint64_t frame = extent->from;
    uint32_t skip_bytes = connection->taken_bytes;

    if (connection->offered_bytes > 0)
        channel_advance(extent->channel, &frame, extent->to, &skip_bytes, connection->offered_bytes);
    return skip_bytes > 0 ? frame + 1 : frame;
}

void extents_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from)
{
    struct extent *first = &connection->extents[0];
    uint64_t dropped_from = HOLDS_NONE;
    unsigned kept = 0;

    if (connection->extent_count > 0 && (connection->taken_bytes > 0 || connection->offered_bytes > 0)) {
        kept = 1;
        if (first->channel) {
            uint64_t end = first_unbegun_frame(connection);

            dropped_from = end < first->to ? end : HOLDS_NONE;
            first->to = end;
        }
    }
    for (unsigned i = kept; i < connection->extent_count; i++) {
        struct extent *extent = &connection->extents[i];

        if (extent->channel && dropped_from == HOLDS_NONE)
            dropped_from = extent->from;
        extent_dispose(engine, extent);
    }
    connection->extent_count = (uint8_t)kept;
    hold_update(engine, connection);
    if (resume_from)
        *resume_from = dropped_from;
}

size_t extents_next_run(struct engine *engine, struct connection *connection, size_t limit_bytes, const uint8_t **bytes)
{
    while (connection->extent_count > 0) {
        struct extent *extent = &connection->extents[0];
        size_t length;

        if (!extent->channel) {
            length = extent->length - connection->taken_bytes;
            *bytes = extent->bytes + connection->taken_bytes;
            return length < limit_bytes ? length : limit_bytes;
        }
        length = channel_run(extent->channel, extent->from, extent->to, connection->taken_bytes, limit_bytes, bytes);
        if (length > 0)
            return length;
        pop_first(engine, connection);
        hold_update(engine, connection);
    }
    return 0;
}

static void take_frames(struct connection *connection, size_t taken_bytes, struct engine_progress *progress)
{
    struct extent *extent = &connection->extents[0];
    bool was_begun = connection->taken_bytes > 0;

    progress->frames = channel_advance(extent->channel, &extent->from, extent->to, &connection->taken_bytes, taken_bytes);
    /* Every frame touched was begun just now, but for the first if it had begun before. */
    progress->began_frame = progress->frames + (connection->taken_bytes > 0) > (was_begun ? 1u : 0u);
}

void extents_take(struct engine *engine, struct connection *connection, size_t taken_bytes, struct engine_progress *progress)
{
    struct extent *extent = &connection->extents[0];
    bool complete;

    *progress = (struct engine_progress){.bytes = taken_bytes};
    if (taken_bytes == 0)
        return;
    assert(connection->extent_count > 0);
    if (extent->channel) {
        take_frames(connection, taken_bytes, progress);
        complete = extent->from == extent->to;
    } else {
        assert(taken_bytes <= extent->length - connection->taken_bytes);
        connection->taken_bytes += (uint32_t)taken_bytes;
        complete = connection->taken_bytes == extent->length;
    }
    if (complete)
        pop_first(engine, connection);
    hold_update(engine, connection);
}

void extents_pin(struct engine *engine, struct connection *connection, uint64_t sequence)
{
    connection->pinned_sequence = sequence;
    hold_update(engine, connection);
}

void extents_release(struct engine *engine, struct connection *connection)
{
    for (unsigned i = 0; i < connection->extent_count; i++)
        extent_dispose(engine, &connection->extents[i]);
    connection->extent_count = 0;
    connection->taken_bytes = 0;
    connection->offered_bytes = 0;
    hold_update(engine, connection);
}
