/* Serving connections: cutting what waits into segments, as far as the windows allow. */
#include "engine/tcp/checksum.h"
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/recovery.h"
#include "engine/tcp/segment_writer.h"
#include "engine/tcp/stream.h"

#include "engine/extents.h"

#include <assert.h>
#include <errno.h>

/* Segments that a connection may send in one service; a card that cuts segments gets as many of them in one. */
#define QUANTUM_SEGMENTS     32
#define QUANTUM_TSO_SEGMENTS 44
/* Shorter round-trip times are not paced: the quantum and the queue space segments out enough. */
#define PACED_RTT TICKS_OF_MS(1)
/* The window in round-trip times that pacing spreads segments over: 2, so that pacing never is the bottleneck. */
#define PACING_GAIN 2

/* Why a service has ended. */
enum stop {
    STOP_DONE,       /* nothing is left */
    STOP_QUANTUM,    /* others are served first */
    STOP_WINDOW,     /* the peer's window has no room */
    STOP_CONGESTION, /* the congestion window has none */
    STOP_MARK,       /* an acknowledgement has to come first: too many control runs are unacknowledged */
    STOP_SHORT,      /* no header buffer, or no epoch, is free */
};

struct service {
    struct output_template template;
    unsigned segments; /* that may still be sent */
    unsigned sent_segments;
    bool is_probe; /* the congestion window does not count */
    struct engine_progress progress;
};

/* --- the queue --- */

void tcp_enqueue(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint32_t slot = tcp_slot(engine, connection);

    connection->base.queued = true;
    connection->next_queued = NO_SLOT;
    if (engine->queue_first == NO_SLOT)
        engine->queue_first = slot;
    else
        ((struct tcp_connection *)slab_element(&engine->slots, engine->queue_last))->next_queued = slot;
    engine->queue_last = slot;
}

static struct tcp_connection *dequeue(struct tcp_engine *engine)
{
    struct tcp_connection *connection = slab_element(&engine->slots, engine->queue_first);

    engine->queue_first = connection->next_queued;
    connection->base.queued = false;
    return connection;
}

/* --- cutting --- */

/* Bytes from nxt on that the peer has room for. */
static uint32_t window_room(const struct tcp_connection *connection)
{
    int32_t room = (int32_t)(connection->una + connection->window - connection->nxt);

    return room > 0 ? (uint32_t)room : 0;
}

static uint32_t congestion_room(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    uint32_t in_flight = recovery_in_flight(engine, connection);

    return connection->cwnd > in_flight ? connection->cwnd - in_flight : 0;
}

/*
 * How many bytes to send next of a frame, `into` bytes into one of its segments: up to a multiple of the segment size from the frame's
 * beginning, at most `segments` segments. 0 if there is no room for the first of them, but for a window smaller than a segment with nothing in
 * flight (RFC 9293, 3.8.6.2.1).
 */
static inline uint32_t cut(const struct tcp_connection *connection, uint32_t mss, uint32_t into, uint32_t left, uint32_t room,
                           unsigned segments)
{
    uint32_t first = mss - into, whole = first + (segments - 1) * mss;

    if (whole > left)
        whole = left;
    if (whole <= room)
        return whole;
    if (first <= room)
        return segments == 1 ? first : first + (room - first) / mss * mss;
    return connection->una == connection->nxt ? room : 0;
}

static enum stop no_room(struct tcp_connection *connection, uint32_t window, uint32_t congestion)
{
    if (window <= congestion)
        return STOP_WINDOW;
    connection->cwnd_limited = true;
    return STOP_CONGESTION;
}

/* --- frames --- */

/* Where a service is within a frame. */
struct frame_position {
    uint32_t mss;
    uint32_t offset; /* of the next byte */
    uint32_t into;   /* the same within its segment */
    uint32_t number; /* of that segment */
    struct sums_block *sums;
};

static inline uint16_t sum_of(struct tcp_engine *engine, const struct tcp_connection *connection,
                              const struct stream_piece *piece, struct frame_position *at, uint32_t length)
{
    const uint8_t *bytes = piece->bytes + at->offset;

    if (at->into != 0 || (length != at->mss && at->offset + length != piece->length))
        return checksum_fold(checksum_add(bytes, length));
    if (!at->sums || at->number % SUMS_BLOCK_SEGMENTS == 0)
        at->sums = sums_find(
            &engine->sums,
            &(struct sums_key){.sequence = piece->sequence, .channel = connection->base.channel, .mss = (uint16_t)at->mss},
            at->number);
    return sums_of(at->sums, at->number, bytes, length);
}

static inline void pass(struct frame_position *at, uint32_t length)
{
    at->offset += length;
    at->into += length;
    if (at->into < at->mss)
        return;
    at->number += at->into / at->mss;
    at->into %= at->mss;
}

/* Sends `length` bytes of a frame: one segment, or several that the card cuts. */
static inline void send_frame_segment(struct tcp_engine *engine, struct tcp_connection *connection, struct service *service,
                                      const struct stream_piece *piece, struct frame_position *at, uint32_t length)
{
    struct output_segment segment = {.sequence = connection->nxt, .flags = TCP_ACK, .length = length};
    const uint8_t *bytes = piece->bytes + at->offset;
    unsigned segments = 1;

    if (at->offset + length == piece->length)
        segment.flags |= TCP_PSH;
    if (at->into + length > at->mss) {
        segments = (at->into + length + at->mss - 1) / at->mss;
        segment.mss = (uint16_t)at->mss;
    } else {
        segment.payload_sum = sum_of(engine, connection, piece, at, length);
    }
    if (length > OUTPUT_COPIED_BYTES || segments > 1)
        segment.payload = bytes;
    else
        segment.copied = bytes;
    output_send(engine, &service->template, &segment);
    connection->nxt += length;
    service->sent_segments += segments;
    service->segments -= segments < service->segments ? segments : service->segments;
    pass(at, length);
}

/* How many segments may be handed over as one. */
static unsigned segments_at_once(const struct tcp_engine *engine, uint32_t mss)
{
    return engine->port->limits.tso_bytes > 2 * mss ? engine->port->limits.tso_bytes / mss : 1;
}

static void take(struct tcp_engine *engine, struct tcp_connection *connection, struct service *service, uint32_t bytes)
{
    struct engine_progress progress;

    extents_take(&engine->base, &connection->base, bytes, &progress);
    service->progress.bytes += progress.bytes;
    service->progress.frames += progress.frames;
    service->progress.payload_bytes += progress.payload_bytes;
    service->progress.began_frame |= progress.began_frame;
}

static enum stop send_frame(struct tcp_engine *engine, struct tcp_connection *connection, struct service *service,
                            const struct stream_piece *piece)
{
    uint32_t mss = tcp_mss(connection), taken = piece->taken_bytes, window = window_room(connection);
    uint32_t congestion = service->is_probe ? UINT32_MAX : congestion_room(engine, connection);
    uint32_t room = window < congestion ? window : congestion;
    struct frame_position at = {.mss = mss, .offset = taken, .into = taken, .number = 0};
    unsigned at_once = segments_at_once(engine, mss);
    enum stop stop = STOP_DONE;

    if (taken == 0 && !stream_may_begin_frame(engine, connection, piece->sequence))
        return STOP_MARK;
    assert(mss > 0);
    if (taken >= mss) {
        at.number = taken / mss;
        at.into = taken % mss;
    }
    while (at.offset < piece->length && stop == STOP_DONE) {
        uint32_t length = cut(connection, mss, at.into, piece->length - at.offset, room,
                              service->segments < at_once ? service->segments : at_once);

        if (length == 0) {
            stop = no_room(connection, window, congestion);
        } else if (!output_has_room(engine, 1) ||
                   (at.offset == taken && !output_hold(engine, connection->base.channel, piece->sequence, service->segments))) {
            stop = STOP_SHORT;
        } else {
            if (at.offset == 0)
                stream_begin_frame(engine, connection, piece->sequence, piece->length);
            send_frame_segment(engine, connection, service, piece, &at, length);
            room -= length;
            if (service->segments == 0 && at.offset < piece->length)
                stop = STOP_QUANTUM;
        }
    }
    take(engine, connection, service, at.offset - taken);
    return stop;
}

/* --- control bytes --- */

/* Control bytes go in segments of their own, so that frames are cut alike for all; they are copied, and kept until acknowledged. */
static enum stop send_control(struct tcp_engine *engine, struct tcp_connection *connection, struct service *service,
                              const struct stream_piece *piece)
{
    uint32_t window = window_room(connection);
    uint32_t congestion = service->is_probe ? UINT32_MAX : congestion_room(engine, connection);
    uint32_t room = window < congestion ? window : congestion, length = piece->length - piece->taken_bytes;
    struct output_segment segment = {.sequence = connection->nxt, .flags = TCP_ACK, .copied = piece->bytes + piece->taken_bytes};
    uint32_t mss = tcp_mss(connection);

    if (length > CONTROL_RUN_BYTES)
        length = CONTROL_RUN_BYTES;
    if (length > mss)
        length = mss;
    if (length > room && connection->una == connection->nxt)
        length = room;
    if (length > room || length == 0)
        return no_room(connection, window, congestion);
    if (!output_has_room(engine, 1))
        return STOP_SHORT;
    int error = stream_keep_control(engine, connection, segment.copied, length);
    if (error != 0)
        return error == -ENOBUFS ? STOP_MARK : STOP_SHORT;
    segment.length = length;
    segment.payload_sum = checksum_fold(checksum_add(segment.copied, length));
    if (piece->taken_bytes + length == piece->length)
        segment.flags |= TCP_PSH;
    output_send(engine, &service->template, &segment);
    connection->nxt += length;
    service->sent_segments++;
    service->segments--;
    take(engine, connection, service, length);
    return STOP_DONE;
}

/* --- a service --- */

static enum stop send_new(struct tcp_engine *engine, struct tcp_connection *connection, struct service *service)
{
    struct stream_piece piece;
    enum stop stop = STOP_DONE;

    while (stop == STOP_DONE && extents_next_piece(&engine->base, &connection->base, &piece)) {
        if (service->segments == 0)
            return STOP_QUANTUM;
        stop =
            piece.is_frame ? send_frame(engine, connection, service, &piece) : send_control(engine, connection, service, &piece);
    }
    return stop;
}

static unsigned quantum_of(const struct tcp_engine *engine)
{
    return engine->port->limits.tso_bytes > 0 ? QUANTUM_TSO_SEGMENTS : QUANTUM_SEGMENTS;
}

/* More than a quantum waits: it is spread over the round-trip time if that is long, else others come first. */
static void go_on_later(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint32_t segments = connection->cwnd / tcp_mss(connection);
    uint64_t ticks = (uint64_t)connection->srtt * quantum_of(engine) / (PACING_GAIN * (segments > 0 ? segments : 1));

    if (connection->srtt > PACED_RTT)
        tcp_pace(engine, connection, ticks > PACED_RTT ? (uint32_t)ticks : PACED_RTT);
    else
        tcp_enqueue(engine, connection);
}

static void note_sent(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t sent_bytes)
{
    counter_add(&engine->counters.unacknowledged_bytes, sent_bytes);
    recovery_note_sent(engine, connection);
}

static void set_blocked(struct tcp_engine *engine, struct tcp_connection *connection, bool blocked)
{
    if (blocked && !connection->base.blocked)
        counter_add(&engine->base.counters.blocked, 1);
    connection->base.blocked = blocked;
}

/* Queues what is left, unless an acknowledgement has to come first, which then queues it. */
static void go_on(struct tcp_engine *engine, struct tcp_connection *connection, enum stop stop)
{
    if (connection->base.queued || connection->is_paced)
        return;
    if (stop == STOP_QUANTUM)
        go_on_later(engine, connection);
    else if (stop == STOP_SHORT || (connection->base.extent_count > 0 && !connection->base.blocked))
        tcp_enqueue(engine, connection);
}

/* Returns how many bytes were sent for the first time. */
static uint32_t serve_with(struct tcp_engine *engine, struct tcp_connection *connection, unsigned segments, bool is_probe)
{
    struct service service = {.segments = segments, .is_probe = is_probe};
    uint32_t from = connection->nxt;
    enum stop stop;

    if (from == connection->una)
        recovery_begin_flight(engine, connection);
    if (connection->recovering && connection->recovery != NO_SLOT)
        recovery_send(engine, connection, &service.segments);
    output_prepare(engine, connection, &service.template);
    stop = send_new(engine, connection, &service);
    if (stop == STOP_DONE && (service.segments == 0 || engine->is_short) && recovery_is_due(engine, connection))
        stop = engine->is_short ? STOP_SHORT : STOP_QUANTUM;
    counter_add(&engine->counters.segments_sent, service.sent_segments);
    counter_add(&engine->base.counters.sends, 1);
    counter_add(&engine->base.counters.bytes_sent, service.progress.bytes);
    if (connection->nxt != from)
        note_sent(engine, connection, connection->nxt - from);
    if (stop == STOP_DONE && !connection->recovering)
        connection->cwnd_limited = false;
    set_blocked(engine, connection, stop == STOP_WINDOW || stop == STOP_CONGESTION || stop == STOP_MARK);
    tcp_set_deadline(engine, connection, false);
    tcp_handler(engine)->progressed(engine->base.options.context, &connection->base, &service.progress, engine->now_ns);
    if (connection->base.dead)
        return connection->nxt - from;
    go_on(engine, connection, stop);
    return connection->nxt - from;
}

static void serve(struct tcp_engine *engine, struct tcp_connection *connection)
{
    serve_with(engine, connection, quantum_of(engine), false);
    tcp_finish_proceed(engine, connection);
}

bool tcp_send_beyond_window(struct tcp_engine *engine, struct tcp_connection *connection)
{
    return connection->base.extent_count > 0 && serve_with(engine, connection, 1, true) > 0;
}

unsigned tcp_serve_queued(struct tcp_engine *engine)
{
    unsigned served = 0;

    while (engine->queue_first != NO_SLOT && served < engine->base.options.sends_per_turn && !engine->is_short) {
        struct tcp_connection *connection = dequeue(engine);

        served++;
        if (!connection->base.dead)
            serve(engine, connection);
        tcp_release_slot(engine, connection);
    }
    return served;
}

void tcp_unblock(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (!connection->base.blocked && !connection->recovering)
        return; /* what waits is queued, or paced, already */
    if (connection->base.blocked && window_room(connection) > 0 && congestion_room(engine, connection) > 0)
        connection->base.blocked = false;
    if (connection->base.queued || connection->is_paced)
        return;
    if ((connection->base.extent_count > 0 && !connection->base.blocked) || recovery_is_due(engine, connection))
        tcp_enqueue(engine, connection);
}
