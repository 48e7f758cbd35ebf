/* Segments of a connection: RFC 9293, 3.10.7.4, with the checks of RFC 5961. */
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/input.h"
#include "engine/tcp/recovery.h"
#include "engine/tcp/stream.h"

#include <errno.h>

/* Challenge ACKs per connection and second: never counted for all together, which would be a side channel (CVE-2016-5696). */
#define CHALLENGES_PER_SECOND 2

/* An acknowledgement that may be lost: what it answers comes again. */
static void acknowledge_now(struct tcp_engine *engine, struct tcp_connection *connection)
{
    output_bare(engine, connection, connection->nxt, TCP_ACK);
}

static void challenge(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint8_t second = (uint8_t)(engine->now_ns / NS_PER_S << 2);
    uint8_t count = connection->challenges & 3;

    if ((connection->challenges & ~3) != second)
        count = 0;
    if (count == CHALLENGES_PER_SECOND)
        return;
    connection->challenges = (uint8_t)(second | (count + 1));
    counter_add(&engine->counters.challenge_acks, 1);
    acknowledge_now(engine, connection);
}

/* --- which segments are acceptable --- */

/* RFC 5961, 3.2: only a reset with exactly the next sequence number ends the connection. */
static void on_reset(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    if (packet->sequence == connection->receive_next) {
        counter_add(&engine->counters.resets_received, 1);
        tcp_end(engine, connection, -ECONNRESET);
    } else if (packet->sequence - connection->receive_next < RECEIVE_WINDOW_BYTES) {
        challenge(engine, connection);
    }
}

/* True if the segment lies in the window, at least in part, or repeats what was received. */
static bool is_in_window(const struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t length = packet->payload_bytes + ((packet->flags & TCP_FIN) != 0);

    if (length == 0)
        return packet->sequence == connection->receive_next || packet->sequence - connection->receive_next < RECEIVE_WINDOW_BYTES;
    return sequence_after(packet->sequence + length, connection->receive_next) &&
           sequence_before(packet->sequence, connection->receive_next + RECEIVE_WINDOW_BYTES);
}

/* A segment outside of the window is answered: at once if it carries data (our ACK was lost), else as a challenge. */
static void on_outside(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    if (packet->payload_bytes > 0 || (packet->flags & TCP_FIN) != 0)
        acknowledge_now(engine, connection);
    else
        challenge(engine, connection);
}

/* RFC 5961, 5.2. */
static bool is_acknowledgement_acceptable(const struct tcp_connection *connection, uint32_t acknowledgement)
{
    uint32_t oldest = connection->una - (uint32_t)((UINT64_C(1) << connection->largest_window_bits) - 1);

    return !sequence_before(acknowledgement, oldest) && !sequence_after(acknowledgement, connection->nxt);
}

/* --- acknowledgements --- */

/*
 * True if the segment is newer than the one that last told the window. Of two with the same numbers the larger window is believed, as it is the
 * later one unless the peer takes room back; a closed window is believed always, since it is probed.
 */
static bool tells_window(const struct tcp_connection *connection, const struct packet *packet, uint32_t window)
{
    if (sequence_after(packet->acknowledgement, connection->una) || sequence_after(packet->sequence, connection->window_sequence))
        return true;
    return packet->sequence == connection->window_sequence && (window > connection->window || window == 0);
}

/* True if the segment names another window than the one in force: then it is no duplicate (RFC 5681, 2). */
static bool update_window(struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t window = (uint32_t)packet->window << connection->peer_scale;
    bool changed = window != connection->window;
    uint8_t bits = tcp_bits_of(window);

    if (!tells_window(connection, packet, window))
        return changed;
    connection->window_sequence = packet->sequence;
    if (connection->window == 0 && window > 0)
        connection->backoff = 0; /* of the probes */
    connection->window = window;
    if (bits > connection->largest_window_bits)
        connection->largest_window_bits = bits;
    return changed;
}

static void advance(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t bytes)
{
    connection->una += bytes;
    connection->last_advance = engine->now;
    counter_subtract(&engine->counters.unacknowledged_bytes, bytes);
    if (!sequence_before(connection->una, connection->una_end))
        stream_advance(engine, connection);
}

static void report_acknowledged(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t bytes)
{
    const struct engine_progress progress = {.acknowledged = bytes};

    tcp_handler(engine)->progressed(engine->base.options.context, &connection->base, &progress, engine->now_ns);
}

/* Handles the acknowledgement of an acceptable segment. */
static void on_acknowledged(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t advanced = sequence_after(packet->acknowledgement, connection->una) ? packet->acknowledgement - connection->una : 0;
    bool is_old = sequence_before(packet->acknowledgement, connection->una);
    bool was_blocked = connection->base.blocked, changed;

    if (is_old)
        return;
    changed = update_window(connection, packet);
    if (connection->una == connection->nxt) {
        connection->last_advance = engine->now; /* an answer to a probe of the window */
        recovery_judge_probe(connection, packet, 0);
    } else if (advanced > 0 || packet->sack_count > 0 || (!changed && packet->payload_bytes == 0)) {
        if (connection->window == 0)
            connection->last_advance = engine->now;
        if (advanced > 0)
            advance(engine, connection, advanced);
        recovery_measure(engine, connection);
        if (recovery_concerns(connection, packet, advanced))
            recovery_acknowledged(engine, connection, packet, advanced);
        else
            congestion_acknowledged(engine, connection, advanced);
        tcp_set_deadline(engine, connection, advanced > 0);
    }
    tcp_unblock(engine, connection);
    if (advanced > 0 && (was_blocked || connection->base.finishing))
        report_acknowledged(engine, connection, advanced);
}

/* --- data --- */

static void acknowledge_data(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    if (connection->receive_acked == connection->receive_next)
        return; /* it went with data */
    if (connection->receive_next - connection->receive_acked >= 2 * tcp_mss(connection) || connection->receive_paused ||
        (packet->flags & TCP_FIN) != 0)
        acknowledge_now(engine, connection);
    else
        tcp_delay_ack(engine, connection);
}

/* Offers the bytes that are new to the handler. True if it has taken all of them, and the connection lives. */
static bool deliver(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t known = connection->receive_next - packet->sequence, length = packet->payload_bytes - known;
    size_t consumed;

    if (length == 0)
        return true;
    counter_add(&engine->base.counters.receives, 1);
    engine->handled = true;
    consumed = tcp_handler(engine)->received(engine->base.options.context, &connection->base, packet->payload + known, length,
                                             engine->now_ns);
    counter_add(&engine->base.counters.bytes_received, consumed);
    if (connection->base.dead)
        return false;
    connection->receive_next += (uint32_t)consumed;
    connection->receive_paused = consumed < length;
    return consumed == length;
}

static void on_finished(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->receive_next++;
    connection->peer_finished = true;
    engine->handled = true;
    tcp_handler(engine)->received(engine->base.options.context, &connection->base, NULL, 0, engine->now_ns);
}

static void on_data(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    bool has_fin = (packet->flags & TCP_FIN) != 0;

    if (packet->payload_bytes == 0 && !has_fin)
        return;
    if (connection->peer_finished || connection->receive_paused) {
        acknowledge_now(engine, connection);
        return;
    }
    if (sequence_after(packet->sequence, connection->receive_next)) {
        counter_add(&engine->counters.dropped[DROP_OUT_OF_ORDER], 1);
        acknowledge_now(engine, connection);
        return;
    }
    if (deliver(engine, connection, packet) && has_fin)
        on_finished(engine, connection);
    if (!connection->base.dead)
        acknowledge_data(engine, connection, packet);
}

/*
 * True for what nearly all segments are: the acknowledgement of new bytes and nothing else, on a connection that repairs nothing, is held up by
 * nothing, and is not about to end.
 */
static bool is_plain_acknowledgement(const struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t advanced = packet->acknowledgement - connection->una;

    return packet->flags == TCP_ACK && packet->payload_bytes == 0 && packet->sequence == connection->receive_next &&
           advanced - 1 < tcp_unacknowledged(connection) && !recovery_concerns(connection, packet, advanced) &&
           !connection->base.blocked && !connection->base.finishing;
}

/* Does what on_acknowledged does, as far as there is anything to do. */
static void on_plain_acknowledgement(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    uint32_t advanced = packet->acknowledgement - connection->una;

    update_window(connection, packet);
    advance(engine, connection, advanced);
    if (connection->burst_count > 0 && !sequence_after(connection->bursts[0].end, connection->una))
        recovery_measure(engine, connection);
    congestion_acknowledged(engine, connection, advanced);
    if (connection->una == connection->nxt)
        connection->timer = TIMER_NONE;
    else if (connection->timer == TIMER_NONE)
        tcp_set_deadline(engine, connection, true);
    if (connection->base.extent_count > 0)
        tcp_unblock(engine, connection);
}

void tcp_segment(struct tcp_engine *engine, struct tcp_connection *connection, struct packet *packet)
{
    if (connection->base.dead)
        return;
    if (is_plain_acknowledgement(connection, packet)) {
        on_plain_acknowledgement(engine, connection, packet);
        return;
    }
    if ((packet->flags & TCP_RST) != 0) {
        on_reset(engine, connection, packet);
    } else if ((packet->flags & (TCP_SYN | TCP_ACK)) == 0) {
        return;
    } else if ((packet->flags & TCP_SYN) == 0 && !is_in_window(connection, packet)) {
        on_outside(engine, connection, packet);
    } else if ((packet->flags & TCP_SYN) != 0 || !is_acknowledgement_acceptable(connection, packet->acknowledgement)) {
        challenge(engine, connection);
    } else {
        on_acknowledged(engine, connection, packet);
        if (!connection->base.dead)
            on_data(engine, connection, packet);
        tcp_finish_proceed(engine, connection);
    }
    tcp_release_slot(engine, connection);
}

/* What the handler left comes again from the peer, which keeps it until it is acknowledged. */
void tcp_receive_resume(struct engine *base, struct connection *connection)
{
    (void)base;
    tcp_connection_of(connection)->receive_paused = false;
}
