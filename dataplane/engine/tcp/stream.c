#include "engine/tcp/stream.h"

#include "engine/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room of a run's memory: most control runs are shorter, and several that follow each other share it. */
#define RUN_BYTES 256

static const struct channel *channel_of(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    return engine->base.channels[connection->base.channel].channel;
}

static struct control_run *run_of(const struct tcp_engine *engine, const struct tcp_mark *mark)
{
    return slab_element(&engine->runs, mark->value);
}

static bool is_jump(const struct tcp_mark *mark)
{
    return (mark->value & MARK_JUMP) != 0;
}

/* The first frame from `frame` on that is sent to the connection; there is one, as it was sent. */
static uint64_t sent_frame(const struct tcp_engine *engine, const struct tcp_connection *connection, uint64_t frame, uint64_t end)
{
    const struct channel *channel = channel_of(engine, connection);

    return channel_next_frame(channel, channel_selection(channel, connection->base.selection), frame, end);
}

static uint32_t frame_bytes(const struct tcp_engine *engine, const struct tcp_connection *connection, uint64_t sequence,
                            const uint8_t **bytes)
{
    struct channel_frame frame;

    channel_frame_get(channel_of(engine, connection), sequence, &frame);
    *bytes = frame.bytes;
    return frame.length;
}

static void pin(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint64_t lowest = connection->frames_ahead > 0 ? connection->una_frame : HOLDS_NONE;

    if (lowest != connection->base.pinned_sequence)
        extents_pin(&engine->base, &connection->base, lowest);
}

/* --- sending --- */

/* How many frames after the last one sent are skipped before `frame`: 0 also if all frames between are gaps or not selected. */
static uint64_t skipped(const struct tcp_engine *engine, const struct tcp_connection *connection, uint64_t frame)
{
    uint64_t next = connection->una_frame + connection->frames_ahead;

    if (connection->frames_ahead == 0 || next == frame || sent_frame(engine, connection, next, frame) == frame)
        return 0;
    return frame - next;
}

bool stream_may_begin_frame(const struct tcp_engine *engine, const struct tcp_connection *connection, uint64_t frame)
{
    return connection->mark_count < TCP_MARKS || skipped(engine, connection, frame) == 0;
}

void stream_begin_frame(struct tcp_engine *engine, struct tcp_connection *connection, uint64_t frame, uint32_t length)
{
    uint64_t skip = skipped(engine, connection, frame);

    if (connection->frames_ahead == 0) {
        connection->una_frame = frame;
        connection->frames_ahead = 1;
        if (!connection->una_in_control)
            connection->una_end = connection->nxt + length;
        pin(engine, connection);
        return;
    }
    if (skip > 0) {
        assert(connection->mark_count < TCP_MARKS && skip < MARK_JUMP);
        connection->marks[connection->mark_count++] =
            (struct tcp_mark){.sequence = connection->nxt, .value = MARK_JUMP | (uint32_t)skip};
    }
    connection->frames_ahead = (uint32_t)(frame + 1 - connection->una_frame);
}

/* The run to which bytes at `nxt` may be added; NULL if the stream's last part is no run, or has no room. */
static struct control_run *open_run(const struct tcp_engine *engine, const struct tcp_connection *connection, uint32_t length)
{
    const struct tcp_mark *last;
    struct control_run *run;

    if (connection->mark_count == 0)
        return NULL;
    last = &connection->marks[connection->mark_count - 1];
    if (is_jump(last))
        return NULL;
    run = run_of(engine, last);
    return last->sequence + run->length == connection->nxt && run->capacity - run->length >= length ? run : NULL;
}

static struct control_run *add_run(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t length)
{
    uint32_t capacity = length > RUN_BYTES ? length : RUN_BYTES;
    struct control_run *run = slab_take(&engine->runs);

    if (!run)
        return NULL;
    if (run->capacity < capacity) {
        free(run->bytes);
        run->bytes = malloc(capacity);
        run->capacity = run->bytes ? capacity : 0;
    }
    if (!run->bytes) {
        slab_give(&engine->runs, run);
        return NULL;
    }
    run->length = 0;
    connection->marks[connection->mark_count++] =
        (struct tcp_mark){.sequence = connection->nxt, .value = slab_number(&engine->runs, run)};
    return run;
}

int stream_keep_control(struct tcp_engine *engine, struct tcp_connection *connection, const uint8_t *bytes, uint32_t length)
{
    struct control_run *run = open_run(engine, connection, length);
    bool is_first = connection->una == connection->nxt;

    if (!run) {
        if (connection->mark_count == TCP_MARKS)
            return -ENOBUFS;
        run = add_run(engine, connection, length);
        if (!run)
            return -ENOMEM;
    }
    memcpy(run->bytes + run->length, bytes, length);
    run->length += length;
    if (is_first)
        connection->una_in_control = true;
    if (connection->una_in_control && run == run_of(engine, &connection->marks[0]))
        connection->una_end = connection->marks[0].sequence + run->length;
    return 0;
}

/* --- acknowledgement --- */

static void drop_first_mark(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (!is_jump(&connection->marks[0]))
        slab_give(&engine->runs, run_of(engine, &connection->marks[0]));
    connection->mark_count--;
    memmove(&connection->marks[0], &connection->marks[1], connection->mark_count * sizeof connection->marks[0]);
}

/* Nothing that was sent is unacknowledged. */
static void forget(struct tcp_engine *engine, struct tcp_connection *connection)
{
    while (connection->mark_count > 0)
        drop_first_mark(engine, connection);
    connection->una_in_control = false;
    connection->frames_ahead = 0;
    connection->una_end = connection->una;
}

/* Moves to the item that begins at una_end. Something that was sent lies there. */
static void next_item(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint32_t begin = connection->una_end;
    const uint8_t *bytes;
    uint64_t frame;

    if (connection->una_in_control) {
        connection->una_in_control = false;
        drop_first_mark(engine, connection);
    } else {
        assert(connection->frames_ahead > 0);
        connection->una_frame++;
        connection->frames_ahead--;
    }
    if (connection->mark_count > 0 && connection->marks[0].sequence == begin && is_jump(&connection->marks[0])) {
        uint32_t skip = connection->marks[0].value & ~MARK_JUMP;

        connection->una_frame += skip;
        connection->frames_ahead -= skip;
        drop_first_mark(engine, connection);
    }
    if (connection->mark_count > 0 && connection->marks[0].sequence == begin) {
        connection->una_in_control = true;
        connection->una_end = begin + run_of(engine, &connection->marks[0])->length;
        return;
    }
    frame = sent_frame(engine, connection, connection->una_frame, connection->una_frame + connection->frames_ahead);
    connection->frames_ahead -= (uint32_t)(frame - connection->una_frame);
    connection->una_frame = frame;
    assert(connection->frames_ahead > 0);
    connection->una_end = begin + frame_bytes(engine, connection, frame, &bytes);
}

void stream_advance(struct tcp_engine *engine, struct tcp_connection *connection)
{
    while (!sequence_before(connection->una, connection->una_end)) {
        if (connection->una_end == stream_end(connection)) {
            forget(engine, connection);
            break;
        }
        next_item(engine, connection);
    }
    pin(engine, connection);
}

/* --- repeating --- */

static void set_control(const struct tcp_engine *engine, const struct tcp_connection *connection, struct stream_item *item)
{
    const struct control_run *run = run_of(engine, &connection->marks[item->mark]);

    item->is_control = true;
    item->bytes = run->bytes;
    item->sequence = connection->marks[item->mark].sequence;
    item->end = item->sequence + run->length;
    item->mark++;
}

static void set_frame(const struct tcp_engine *engine, const struct tcp_connection *connection, struct stream_item *item)
{
    item->is_control = false;
    item->frame = sent_frame(engine, connection, item->frame, connection->una_frame + connection->frames_ahead);
    item->end = item->sequence + frame_bytes(engine, connection, item->frame, &item->bytes);
}

void stream_find(const struct tcp_engine *engine, const struct tcp_connection *connection, uint32_t sequence,
                 struct stream_item *item)
{
    *item = (struct stream_item){.frame = connection->una_frame};
    assert(!sequence_before(sequence, connection->una) && sequence_before(sequence, stream_end(connection)));
    if (connection->una_in_control) {
        set_control(engine, connection, item);
    } else {
        const uint8_t *bytes;
        uint32_t length = frame_bytes(engine, connection, item->frame, &bytes);

        item->sequence = connection->una_end - length;
        item->end = connection->una_end;
        item->bytes = bytes;
    }
    while (!sequence_before(sequence, item->end)) {
        if (!item->is_control)
            item->frame++;
        item->sequence = item->end;
        if (item->mark < connection->mark_count && connection->marks[item->mark].sequence == item->sequence &&
            is_jump(&connection->marks[item->mark]))
            item->frame += connection->marks[item->mark++].value & ~MARK_JUMP;
        if (item->mark < connection->mark_count && connection->marks[item->mark].sequence == item->sequence)
            set_control(engine, connection, item);
        else
            set_frame(engine, connection, item);
    }
}

void stream_release(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->una = connection->nxt;
    forget(engine, connection);
    pin(engine, connection);
}
