/* The life of connections: slots, the table, the queue of those to be served, timers, and their end. */
#ifndef DATAPLANE_ENGINE_TCP_CONNECTION_H
#define DATAPLANE_ENGINE_TCP_CONNECTION_H

#include "engine/tcp/internal.h"

/* --- slots.c --- */

/* The hash of a received packet's addresses and ports, which lie together in its headers. */
uint64_t tcp_hash_packet(const struct tcp_engine *engine, const struct packet *packet);

/* The same hash, from addresses and ports. */
uint64_t tcp_hash(const struct tcp_engine *engine, const struct ip_address *remote, uint16_t remote_port, uint8_t local);

/* True if the packet has the connection's addresses and ports; a free slot has no port. */
static inline bool tcp_is_of(const struct tcp_connection *connection, const struct packet *packet)
{
    uint64_t a[2], b[2];

    __builtin_memcpy(a, connection->remote.bytes, sizeof a);
    __builtin_memcpy(b, packet->remote.bytes, sizeof b);
    return connection->remote_port == packet->remote_port && connection->local == packet->local && a[0] == b[0] && a[1] == b[1];
}

/* Finds the connection of a packet; NULL if there is none. */
struct tcp_connection *tcp_find(const struct tcp_engine *engine, const struct packet *packet);

/* Takes a slot for the connection that `packet` has established, and enters it in the table. NULL if there is no room. */
struct tcp_connection *tcp_open(struct tcp_engine *engine, const struct packet *packet, const struct cookie_options *agreed);

/* Gives the slot back if the connection's end is reported and no queue has the connection. */
void tcp_release_slot(struct tcp_engine *engine, struct tcp_connection *connection);

/* Pushes a connection whose end is to be reported. */
void tcp_todo(struct tcp_engine *engine, struct tcp_connection *connection);

/* --- service.c --- */

/* Puts the connection at the end of the queue of those to be served. */
void tcp_enqueue(struct tcp_engine *engine, struct tcp_connection *connection);

/* Serves queued connections, at most options.sends_per_turn. Returns how many. */
unsigned tcp_serve_queued(struct tcp_engine *engine);

/* Sends one new segment although the congestion window is full, to probe for losses. False if nothing waits, or the peer has no room. */
bool tcp_send_beyond_window(struct tcp_engine *engine, struct tcp_connection *connection);

/* Queues a blocked connection if the windows have room again. */
void tcp_unblock(struct tcp_engine *engine, struct tcp_connection *connection);

/* Sends our FIN if everything else was sent, and ends the connection once both sides have finished. */
void tcp_finish_proceed(struct tcp_engine *engine, struct tcp_connection *connection);

/* --- deadlines.c --- */

/*
 * Sets what is to happen next: to bytes in flight a probe or a time-out, which begins anew if `restart` (una has advanced, or the time-out has
 * come); to bytes that wait for the peer's window, a probe of it.
 */
void tcp_set_deadline(struct tcp_engine *engine, struct tcp_connection *connection, bool restart);

/* Puts off sending until `ticks` from now. */
void tcp_pace(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t ticks);

/* Sees to it that what was received is acknowledged within 40 ms. */
void tcp_delay_ack(struct tcp_engine *engine, struct tcp_connection *connection);

/*
 * Handle what is due, at most so much per turn: what was paced or is to be acknowledged; and deadlines of peers, after what they have sent in
 * time was received. True if more is due.
 */
bool tcp_run_delays(struct tcp_engine *engine);
bool tcp_run_deadlines(struct tcp_engine *engine);

/* The time of the next timer; CLOCK_NEVER if none runs. */
uint64_t tcp_next_timer_ns(const struct tcp_engine *engine);

/* --- close.c --- */

/* The connection is gone: calls `closed`. */
void tcp_end(struct tcp_engine *engine, struct tcp_connection *connection, int error);

/* As engine_finish and engine_abort. */
void tcp_finish(struct engine *base, struct connection *connection);
void tcp_abort(struct engine *base, struct connection *connection);

/* Reports the ends that are due. */
void tcp_report_ends(struct tcp_engine *engine);

#endif
