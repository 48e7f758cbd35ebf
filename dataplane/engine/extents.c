#include "engine/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Most control blocks kept for reuse: as many as a turn serves connections. Blocks beyond it go back to the allocator. */
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
    switch ((enum extent_kind)extent->kind) {
    case EXTENT_FRAMES:
        break;
    case EXTENT_CONTROL:
        control_block_put(engine, extent->bytes);
        break;
    case EXTENT_BYTES:
        free(extent->bytes);
        break;
    }
}

static bool is_frames(const struct extent *extent)
{
    return extent->kind == EXTENT_FRAMES;
}

static uint64_t end_of(const struct extent *extent)
{
    return extent->from + extent->count;
}

static const struct channel *channel_of(const struct engine *engine, const struct extent *extent)
{
    return engine->channels[extent->channel].channel;
}

static const struct selection *selection_of(const struct engine *engine, const struct connection *connection)
{
    if (connection->selection == 0)
        return NULL;
    return channel_selection(engine->channels[connection->channel].channel, connection->selection);
}

/* Sets held_sequence, and the entry in the thread's holds, to the lowest frame that the stream touches now. */
static void hold_update(struct engine *engine, struct connection *connection)
{
    uint64_t lowest = connection->pinned_sequence;

    for (unsigned i = 0; i < connection->extent_count; i++) {
        const struct extent *extent = &connection->extents[i];

        if (is_frames(extent) && extent->from < lowest)
            lowest = extent->from;
    }
    if (lowest == connection->held_sequence)
        return;
    struct holds *holds = engine->channels[connection->channel].holds;
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

int extents_append_frames(struct engine *engine, struct connection *connection, uint16_t channel, uint64_t from, uint64_t to)
{
    unsigned count = connection->extent_count;
    struct extent *last = count > 0 ? &connection->extents[count - 1] : NULL;

    assert(from <= to && to - from <= UINT32_MAX);
    assert(connection->held_sequence == HOLDS_NONE || connection->channel == channel);
    if (from == to)
        return 0;
    if (last && is_frames(last) && end_of(last) == from) {
        last->count += (uint32_t)(to - from);
        return 0;
    }
    if (count == CONNECTION_EXTENTS)
        return -ENOBUFS;
    connection->channel = channel;
    connection->extents[count] =
        (struct extent){.from = from, .count = (uint32_t)(to - from), .channel = channel, .kind = EXTENT_FRAMES};
    connection->extent_count++;
    hold_update(engine, connection);
    return 0;
}

int extents_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length)
{
    unsigned count = connection->extent_count;
    struct extent *last = count > 0 ? &connection->extents[count - 1] : NULL;
    bool is_short = length <= CONTROL_RUN_BYTES;
    struct extent run = {.count = (uint32_t)length, .kind = is_short ? EXTENT_CONTROL : EXTENT_BYTES};

    assert(length <= UINT32_MAX);
    if (length == 0)
        return 0;
    if (last && last->kind == EXTENT_CONTROL && CONTROL_RUN_BYTES - last->count >= length) {
        memcpy(last->bytes + last->count, bytes, length);
        last->count += (uint32_t)length;
        return 0;
    }
    if (count == CONNECTION_EXTENTS)
        return -ENOBUFS;
    run.bytes = is_short ? control_block_get(engine) : malloc(length);
    if (!run.bytes)
        return -ENOMEM;
    memcpy(run.bytes, bytes, length);
    connection->extents[connection->extent_count++] = run;
    return 0;
}

static bool has_begun(const struct connection *connection)
{
    return connection->extent_count > 0 && (connection->taken_bytes > 0 || connection->offered_bytes > 0);
}

/* The first frame of extents[0] of which no byte was taken or is on its way. */
static uint64_t first_unbegun_frame(const struct engine *engine, const struct connection *connection)
{
    const struct extent *extent = &connection->extents[0];
    uint64_t frame = extent->from;
    uint32_t skip_bytes = connection->taken_bytes;

    if (connection->offered_bytes > 0)
        channel_advance(channel_of(engine, extent), selection_of(engine, connection), &frame, end_of(extent), &skip_bytes,
                        connection->offered_bytes);
    return skip_bytes > 0 ? frame + 1 : frame;
}

void extents_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from)
{
    struct extent *first = &connection->extents[0];
    uint64_t dropped_from = HOLDS_NONE;
    unsigned kept = 0;

    if (has_begun(connection)) {
        kept = 1;
        if (is_frames(first)) {
            uint64_t end = first_unbegun_frame(engine, connection);

            dropped_from = end < end_of(first) ? end : HOLDS_NONE;
            first->count = (uint32_t)(end - first->from);
        }
    }
    for (unsigned i = kept; i < connection->extent_count; i++) {
        struct extent *extent = &connection->extents[i];

        if (is_frames(extent) && dropped_from == HOLDS_NONE)
            dropped_from = extent->from;
        extent_dispose(engine, extent);
    }
    connection->extent_count = (uint8_t)kept;
    hold_update(engine, connection);
    if (resume_from)
        *resume_from = dropped_from;
}

uint64_t extents_next_untaken(const struct connection *connection)
{
    for (unsigned i = 0; i < connection->extent_count; i++)
        if (is_frames(&connection->extents[i]))
            return connection->extents[i].from;
    return HOLDS_NONE;
}

size_t extents_copy_unbegun_control(const struct connection *connection, uint8_t copy[CONTROL_RUN_BYTES])
{
    for (unsigned i = has_begun(connection) ? 1 : 0; i < connection->extent_count; i++) {
        const struct extent *extent = &connection->extents[i];

        if (extent->kind != EXTENT_CONTROL)
            continue;
        memcpy(copy, extent->bytes, extent->count);
        return extent->count;
    }
    return 0;
}

size_t extents_next_run(struct engine *engine, struct connection *connection, size_t limit_bytes, const uint8_t **bytes)
{
    while (connection->extent_count > 0) {
        struct extent *extent = &connection->extents[0];
        size_t length;

        if (!is_frames(extent)) {
            length = extent->count - connection->taken_bytes;
            *bytes = extent->bytes + connection->taken_bytes;
            return length < limit_bytes ? length : limit_bytes;
        }
        length = channel_run(channel_of(engine, extent), selection_of(engine, connection), extent->from, end_of(extent),
                             connection->taken_bytes, limit_bytes, bytes);
        if (length > 0)
            return length;
        pop_first(engine, connection);
        hold_update(engine, connection);
    }
    return 0;
}

bool extents_next_piece(struct engine *engine, struct connection *connection, struct stream_piece *piece)
{
    while (connection->extent_count > 0) {
        struct extent *extent = &connection->extents[0];
        uint64_t end = end_of(extent);
        struct channel_frame frame;

        piece->taken_bytes = connection->taken_bytes;
        piece->is_frame = is_frames(extent);
        if (!piece->is_frame) {
            piece->bytes = extent->bytes;
            piece->length = extent->count;
            return true;
        }
        piece->sequence = channel_next_frame(channel_of(engine, extent), selection_of(engine, connection), extent->from, end);
        if (piece->sequence < end) {
            channel_frame_get(channel_of(engine, extent), piece->sequence, &frame);
            piece->bytes = frame.bytes;
            piece->length = frame.length;
            return true;
        }
        pop_first(engine, connection);
        hold_update(engine, connection);
    }
    return false;
}

/* A position in the outgoing stream, not before its first byte that is not taken. */
struct stream_position {
    unsigned extent;
    uint64_t frame;
    uint32_t skip_bytes; /* of that frame, or of the extent's bytes */
};

/* As extents_next_run, from `position` on; moves `position` past extents without any byte. */
static size_t run_at(const struct engine *engine, const struct connection *connection, struct stream_position *position,
                     size_t limit_bytes, const uint8_t **bytes)
{
    for (;;) {
        const struct extent *extent = &connection->extents[position->extent];
        size_t length;

        if (is_frames(extent)) {
            length = channel_run(channel_of(engine, extent), selection_of(engine, connection), position->frame, end_of(extent),
                                 position->skip_bytes, limit_bytes, bytes);
        } else {
            length = extent->count - position->skip_bytes;
            length = length < limit_bytes ? length : limit_bytes;
            *bytes = extent->bytes + position->skip_bytes;
        }
        if (length > 0 || position->extent + 1 == connection->extent_count)
            return length;
        position->extent++;
        *position = (struct stream_position){.extent = position->extent, .frame = connection->extents[position->extent].from};
    }
}

static void pass_run(const struct engine *engine, const struct connection *connection, struct stream_position *position,
                     size_t length)
{
    const struct extent *extent = &connection->extents[position->extent];

    if (is_frames(extent))
        channel_advance(channel_of(engine, extent), selection_of(engine, connection), &position->frame, end_of(extent),
                        &position->skip_bytes, length);
    else
        position->skip_bytes += (uint32_t)length;
}

/* True if the stream is one frame or one control run, as most are: then there is no second run to look for. */
static bool is_one_run(const struct connection *connection)
{
    return connection->extent_count == 1 && (!is_frames(&connection->extents[0]) || connection->extents[0].count == 1);
}

unsigned extents_next_runs(struct engine *engine, struct connection *connection, size_t limit_bytes, struct iovec *runs,
                           unsigned capacity)
{
    const uint8_t *bytes;
    size_t length = extents_next_run(engine, connection, limit_bytes, &bytes);
    struct stream_position position = {.frame = connection->extents[0].from, .skip_bytes = connection->taken_bytes};
    unsigned count = 0;

    while (length > 0) {
        runs[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
        limit_bytes -= length;
        if (is_one_run(connection) || count == capacity || limit_bytes == 0)
            break;
        pass_run(engine, connection, &position, length);
        length = run_at(engine, connection, &position, limit_bytes, &bytes);
    }
    return count;
}

static void take_frames(struct engine *engine, struct connection *connection, size_t taken_bytes,
                        struct engine_progress *progress)
{
    struct extent *extent = &connection->extents[0];
    uint64_t from = extent->from, end = end_of(extent);
    bool was_begun = connection->taken_bytes > 0;
    struct channel_progress advanced = channel_advance(channel_of(engine, extent), selection_of(engine, connection), &from, end,
                                                       &connection->taken_bytes, taken_bytes);

    extent->from = from;
    extent->count = (uint32_t)(end - from);
    progress->frames = advanced.frames;
    progress->payload_bytes = advanced.payload_bytes;
    /* Every frame of which bytes were taken has begun just now, except for the first frame if it had begun before. */
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
    if (is_frames(extent)) {
        take_frames(engine, connection, taken_bytes, progress);
        complete = extent->count == 0;
    } else {
        assert(taken_bytes <= extent->count - connection->taken_bytes);
        connection->taken_bytes += (uint32_t)taken_bytes;
        complete = connection->taken_bytes == extent->count;
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

void extents_take_runs(struct engine *engine, struct connection *connection, const struct iovec *runs, size_t taken_bytes,
                       struct engine_progress *progress)
{
    size_t length = taken_bytes < runs->iov_len ? taken_bytes : runs->iov_len;

    extents_take(engine, connection, length, progress);
    while ((taken_bytes -= length) > 0) {
        struct engine_progress more;
        const uint8_t *bytes = NULL;

        runs++;
        length = extents_next_run(engine, connection, taken_bytes < runs->iov_len ? taken_bytes : runs->iov_len, &bytes);
        assert(bytes == runs->iov_base); /* run_at passes extents without any byte, too */
        extents_take(engine, connection, length, &more);
        progress->bytes += more.bytes;
        progress->frames += more.frames;
        progress->payload_bytes += more.payload_bytes;
        progress->began_frame |= more.began_frame;
    }
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

void extents_hand_off(const struct connection *connection, struct engine_handoff *handoff)
{
    assert(connection->offered_bytes == 0);
    handoff->selection = connection->selection;
    handoff->taken_bytes = connection->taken_bytes;
    handoff->piece_count = connection->extent_count;
    for (unsigned i = 0; i < connection->extent_count; i++) {
        const struct extent *extent = &connection->extents[i];

        if (is_frames(extent))
            handoff->pieces[i] = (struct engine_piece){
                .kind = EXTENT_FRAMES, .channel = extent->channel, .from = extent->from, .to = end_of(extent)};
        else
            handoff->pieces[i] = (struct engine_piece){.kind = EXTENT_BYTES, .bytes = extent->bytes, .length = extent->count};
    }
}

int extents_take_over(struct engine *engine, struct connection *connection, const struct engine_handoff *handoff)
{
    int error = 0;

    connection->selection = handoff->selection;
    for (unsigned i = 0; i < handoff->piece_count && error == 0; i++) {
        const struct engine_piece *piece = &handoff->pieces[i];

        error = piece->kind == EXTENT_FRAMES ? extents_append_frames(engine, connection, piece->channel, piece->from, piece->to)
                                             : extents_append_bytes(engine, connection, piece->bytes, piece->length);
    }
    if (error != 0)
        extents_release(engine, connection);
    else
        connection->taken_bytes = handoff->taken_bytes;
    return error;
}
