#include "shard/session.h"

#include "shard/internal.h"

#include <assert.h>
#include <string.h>

/* Bytes that a subscriber sends are counted in units of this, so that the count fits into 16 bits. */
#define RECEIVE_UNIT_BYTES 16
#define MOST_RECEIVE_UNITS (SHARD_RECEIVE_BYTES_PER_S * SHARD_RECEIVE_WINDOW_S / RECEIVE_UNIT_BYTES)
_Static_assert(MOST_RECEIVE_UNITS <= UINT16_MAX, "the count of what was received has 16 bits");

/* A window's start is kept in ticks, modulo 2^27: they come round after 15 days. */
#define TICK_NS      (10 * NS_PER_MS)
#define TICK_MASK    ((UINT32_C(1) << 27) - 1)
#define WINDOW_TICKS (uint32_t)(SHARD_RECEIVE_WINDOW_S * NS_PER_S / TICK_NS)

/* --- control frames --- */

/*
 * Sends a control frame before all data frames whose sending has not begun: these are dropped from the stream and appended again behind it.
 * Control frames that wait already stay in front of the new one if all fit into one control run, else they are dropped: a peer that reads
 * none of them has only the newest waiting (RFC 6455, 5.5.3, asks for no more). True if the frame was appended.
 */
static bool send_control(struct shard *shard, struct subscriber *subscriber, const uint8_t *frame, size_t length)
{
    struct connection *connection = subscriber->connection;
    uint8_t waiting[CONTROL_RUN_BYTES];
    size_t waiting_bytes = engine_copy_unbegun_control(connection, waiting);
    uint64_t resume_from;
    bool sent;

    if (waiting_bytes + length > sizeof waiting)
        waiting_bytes = 0;
    engine_drop_unbegun(shard->engine, connection, &resume_from);
    memcpy(waiting + waiting_bytes, frame, length);
    sent = engine_append_bytes(shard->engine, connection, waiting, waiting_bytes + length) == 0;
    if (resume_from != HOLDS_NONE)
        engine_append_frames(shard->engine, connection, shard_fanout_of(shard, subscriber)->number, resume_from,
                             subscriber->cursor);
    engine_serve(shard->engine, connection);
    return sent;
}

static bool send_ping(struct shard *shard, struct subscriber *subscriber)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_write_control(frame, WS_PING, NULL, 0, NULL);

    return send_control(shard, subscriber, frame, length);
}

void session_ping(struct shard *shard, struct subscriber *subscriber)
{
    struct shard_counters *counters = &shard->counters;

    timer_start(&shard->pings, &subscriber->timer, shard->now_ns);
    counter_add(&counters->ping_attempts, 1);
    if (subscriber->upgrade_sent && send_ping(shard, subscriber))
        counter_add(&counters->ping_sent, 1);
    else
        counter_add(&counters->ping_failures, 1);
}

static void send_pong(struct shard *shard, struct subscriber *subscriber, const struct ws_event *ping)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_write_control(frame, WS_PONG, ping->bytes, ping->length, NULL);

    send_control(shard, subscriber, frame, length);
}

/* --- ending --- */

void session_close(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause, uint16_t code,
                   const char *reason)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_write_close(frame, code, reason, NULL);

    subscriber_set_cause(shard, subscriber, cause);
    subscriber_finish(shard, subscriber, frame, length, SUBSCRIBER_DROP_PENDING);
}

void session_close_at_shutdown(struct shard *shard, struct subscriber *subscriber)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_write_close(frame, WS_CLOSE_GOING_AWAY, "shutting down", NULL);

    fanout_offer(shard_fanout_of(shard, subscriber), subscriber, shard->now_ns);
    subscriber_set_cause(shard, subscriber, DISCONNECT_SHUTDOWN);
    subscriber_finish(shard, subscriber, frame, length, SUBSCRIBER_SEND_PENDING);
}

/* --- receiving --- */

static void handle(struct shard *shard, struct subscriber *subscriber, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
    case WS_EVENT_DATA: /* subscribers' messages are read and dropped */
        break;
    case WS_EVENT_PING:
        send_pong(shard, subscriber, event);
        break;
    case WS_EVENT_PONG:
        if (shard->options.client_ping)
            timer_start(&shard->pongs, &subscriber->pong, shard->now_ns);
        break;
    case WS_EVENT_CLOSE:
        session_close(shard, subscriber, DISCONNECT_PEER_CLOSED, event->code, NULL);
        break;
    case WS_EVENT_ERROR:
        session_close(shard, subscriber, DISCONNECT_PROTOCOL_ERROR, event->code, event->reason);
        break;
    }
}

static void read_all(struct shard *shard, struct subscriber *subscriber, struct ws_reader *reader, uint8_t *bytes, size_t length)
{
    while (length > 0 && subscriber->state == SUBSCRIBER_OPEN) {
        struct ws_event event;
        size_t taken = ws_read(reader, bytes, length, &event);

        bytes += taken;
        length -= taken;
        handle(shard, subscriber, &event);
    }
}

/* Begins the window in which `now` is, unless it has begun; returns how many of its ticks are over. */
static uint32_t advance_window(struct subscriber *subscriber, uint32_t now)
{
    uint32_t elapsed = (now - subscriber->window_start) & TICK_MASK;

    if (elapsed < WINDOW_TICKS)
        return elapsed;
    if (elapsed < 2 * WINDOW_TICKS) {
        subscriber->previous_units = subscriber->received_units;
        elapsed -= WINDOW_TICKS;
    } else {
        subscriber->previous_units = 0;
        elapsed = 0;
    }
    subscriber->received_units = 0;
    subscriber->window_start = (now - elapsed) & TICK_MASK;
    return elapsed;
}

/*
 * Counts `length` bytes received; true if the subscriber has then sent more in the last SHARD_RECEIVE_WINDOW_S than it may. Of what came in the
 * previous window the part counts that corresponds to the window's part in these seconds.
 */
static bool sends_too_much(const struct shard *shard, struct subscriber *subscriber, size_t length)
{
    uint32_t elapsed = advance_window(subscriber, (uint32_t)(shard->now_ns / TICK_NS) & TICK_MASK);
    size_t units = (length + RECEIVE_UNIT_BYTES - 1) / RECEIVE_UNIT_BYTES;
    uint32_t before = subscriber->previous_units * (WINDOW_TICKS - elapsed) / WINDOW_TICKS;

    if (before + subscriber->received_units + units > MOST_RECEIVE_UNITS)
        return true;
    subscriber->received_units = (uint16_t)(subscriber->received_units + units);
    return false;
}

void session_received(struct shard *shard, struct subscriber *subscriber, uint8_t *bytes, size_t length)
{
    struct ws_reader fresh;
    struct ws_reader *reader = subscriber->reader;

    if (sends_too_much(shard, subscriber, length)) {
        session_close(shard, subscriber, DISCONNECT_FLOOD, WS_CLOSE_POLICY, "more than 640 KiB in 10 s");
        return;
    }
    if (!reader) {
        ws_reader_init(&fresh, WS_SERVER, SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES);
        reader = &fresh;
    }
    read_all(shard, subscriber, reader, bytes, length);
    if (subscriber->state != SUBSCRIBER_OPEN)
        return;
    if (ws_reader_is_idle(reader)) {
        session_release_reader(shard, subscriber);
    } else if (reader == &fresh) {
        subscriber->reader = slab_take(&shard->readers); /* never NULL: the slab has one per subscriber */
        *subscriber->reader = fresh;
    }
}

void session_release_reader(struct shard *shard, struct subscriber *subscriber)
{
    if (subscriber->reader)
        slab_give(&shard->readers, subscriber->reader);
    subscriber->reader = NULL;
}
