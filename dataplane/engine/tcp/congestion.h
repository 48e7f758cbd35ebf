/*
 * How much may be in flight: slow start (RFC 5681), CUBIC (RFC 9438), and round-trip times (RFC 6298). A window that is not used does not grow
 * and does not shrink (RFC 7661): flashblocks come every 200 ms, and a connection that began anew each time would need several round trips
 * for each of them.
 */
#ifndef DATAPLANE_ENGINE_TCP_CONGESTION_H
#define DATAPLANE_ENGINE_TCP_CONGESTION_H

#include "engine/tcp/internal.h"

/* Prepares a new connection; its mss_class must be set. */
void congestion_init(struct tcp_connection *connection, const struct tcp_engine *engine);

/* The class of the largest segments that a peer takes whose MSS option was `mss` (0: none), on a network of `mtu` bytes per IP packet. */
uint8_t mss_class_of(uint16_t mss, uint16_t mtu, bool is_v6);

/* Notes a round-trip time in ticks. */
void congestion_measured(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t rtt);

/* The retransmission time-out in ticks, with the back-off of the time-outs so far. */
uint32_t congestion_timeout(const struct tcp_connection *connection);

/* Grows the window, which has held up sending, for `bytes` that were acknowledged. */
void congestion_grow(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t bytes);

/* The peer has acknowledged `bytes` more, outside of a fast recovery. */
static inline void congestion_acknowledged(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t bytes)
{
    if (connection->cwnd_limited)
        congestion_grow(engine, connection, bytes);
    else
        connection->cubic_start = 0; /* time in which the window was not used does not count */
}

/* Loss was detected: lowers ssthresh, and remembers the window. The caller sets cwnd. */
void congestion_lost(struct tcp_connection *connection);

#endif
