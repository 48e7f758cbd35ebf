/*
 * Finding and repeating what was lost: RACK-TLP (RFC 8985) with selective acknowledgements (RFC 2018), paced by PRR (RFC 6937); without them
 * NewReno (RFC 6582). A recovery block, from a pool, keeps the holes in what the peer has; transmit times are kept per burst, not per
 * segment. A departure from RFC 8985: the reordering window shrinks by one step with each recovery without DSACK, not after 16 of them.
 */
#ifndef DATAPLANE_ENGINE_TCP_RECOVERY_H
#define DATAPLANE_ENGINE_TCP_RECOVERY_H

#include "engine/tcp/internal.h"

#define RECOVERY_HOLES 10

/* Bytes below the highest that the peer has, which it has not. [start, next) was sent again, at `sent_at` at the latest. */
struct tcp_hole {
    uint32_t start, end, next, sent_at;
};

struct tcp_recovery {
    struct tcp_hole holes[RECOVERY_HOLES]; /* in order, not adjacent */
    uint32_t high;                         /* the sequence number after the highest byte that the peer has */
    uint32_t delivered, sent, flight;      /* RFC 6937: prr_delivered, prr_out, RecoverFS */
    uint8_t hole_count;
    bool has_duplicate; /* a DSACK (RFC 2883) has come since the recovery began */
};
_Static_assert(sizeof(struct tcp_recovery) <= 192, "a recovery block has outgrown its 192 bytes");

/* --- transmit times --- */

/* Sending begins anew with nothing in flight: times of before the pause mean nothing now. */
void recovery_begin_flight(struct tcp_engine *engine, struct tcp_connection *connection);

/* Notes that the bytes before connection->nxt, behind the last burst, were sent now. */
void recovery_note_sent(struct tcp_engine *engine, struct tcp_connection *connection);

/* --- acknowledgements; una has advanced by `advanced` bytes, 0 for a duplicate --- */

/* True if the acknowledgement needs recovery_acknowledged: else it only moves una, as most do. */
static inline bool recovery_concerns(const struct tcp_connection *connection, const struct packet *packet, uint32_t advanced)
{
    return packet->sack_count > 0 || connection->recovering || connection->recovery != NO_SLOT || connection->probe_out ||
           advanced == 0;
}

/* The bursts that are acknowledged give a round-trip time (RFC 6298, 3: not of what was sent twice). */
void recovery_measure(struct tcp_engine *engine, struct tcp_connection *connection);

/* Looks at selective and duplicate acknowledgements, begins, continues or ends a recovery, and sets cwnd. */
void recovery_acknowledged(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet,
                           uint32_t advanced);

/*
 * Judges a tail loss probe by an acknowledgement: one that was not needed is reported as a duplicate, else it has repaired a loss (RFC 8985,
 * 7.4.2). Called for acknowledgements that recovery_acknowledged does not get, because nothing is in flight.
 */
void recovery_judge_probe(struct tcp_connection *connection, const struct packet *packet, uint32_t advanced);

/* --- timers --- */

/* The retransmission time-out: everything that is not acknowledged counts as lost (RFC 6298, 5.4). */
void recovery_time_out(struct tcp_engine *engine, struct tcp_connection *connection);

/* What is missing for longer than the reordering window counts as lost (RFC 8985, 6.3). */
void recovery_reorder_time_out(struct tcp_engine *engine, struct tcp_connection *connection);

/* Sends the last segment again, so that the peer says what it lacks (RFC 8985, 7.3). */
void recovery_probe(struct tcp_engine *engine, struct tcp_connection *connection);

/* As recovery_reorder_ticks, of a connection with a recovery block. */
uint32_t recovery_find_reorder_ticks(const struct tcp_engine *engine, const struct tcp_connection *connection);

/* In how many ticks missing bytes will count as lost; 0 if none will. */
static inline uint32_t recovery_reorder_ticks(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    return connection->recovery != NO_SLOT ? recovery_find_reorder_ticks(engine, connection) : 0;
}

/* --- sending --- */

/* Bytes that are in the network, by what the peer has said (RFC 6675: pipe). */
uint32_t recovery_in_flight(const struct tcp_engine *engine, const struct tcp_connection *connection);

/* True if lost bytes wait to be sent again. */
bool recovery_is_due(const struct tcp_engine *engine, const struct tcp_connection *connection);

/* Sends lost bytes again, at most *segments segments, of which those sent are taken off, and as cwnd allows. */
void recovery_send(struct tcp_engine *engine, struct tcp_connection *connection, unsigned *segments);

/* Gives the recovery block back. */
void recovery_release(struct tcp_engine *engine, struct tcp_connection *connection);

#endif
