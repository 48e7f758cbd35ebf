/*
 * Finds out whether an upstream is alive; only its answers to our pings count. The first ping goes out at once, and its pong has the longer
 * of INGEST_PONG_GRACE_NS and the time-out. Each later pong has to come within the time-out after the pong before it, but has at least the
 * shorter of the time-out and the interval after its ping.
 */
#ifndef DATAPLANE_INGEST_HEARTBEAT_H
#define DATAPLANE_INGEST_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

struct heartbeat {
    uint64_t interval_ns, timeout_ns;
    uint64_t next_ping_ns;
    uint64_t pong_deadline_ns; /* counts while `awaiting` */
    bool awaiting;             /* a ping is unanswered */
    bool was_extended;         /* heartbeat_extend_once was called since the last pong */
};

enum heartbeat_action { HEARTBEAT_NONE, HEARTBEAT_PING, HEARTBEAT_DEAD };

void heartbeat_start(struct heartbeat *heartbeat, uint64_t interval_ns, uint64_t timeout_ns, uint64_t now_ns);

/* What is due now: to send a ping, to give the connection up, or nothing. */
enum heartbeat_action heartbeat_poll(struct heartbeat *heartbeat, uint64_t now_ns);

/* A pong came. */
void heartbeat_pong(struct heartbeat *heartbeat, uint64_t now_ns);

/* Pongs could not be read until now, because we did not read: the awaited pong gets the whole time-out once more. */
void heartbeat_extend(struct heartbeat *heartbeat, uint64_t now_ns);

/*
 * To be called on HEARTBEAT_DEAD while bytes of the upstream are still being read, among which the pong may be: gives the whole time-out once
 * more, but only once until a pong comes. False if it was given already.
 */
bool heartbeat_extend_once(struct heartbeat *heartbeat, uint64_t now_ns);

/* When heartbeat_poll has to be called next. */
uint64_t heartbeat_deadline(const struct heartbeat *heartbeat);

#endif
