/*
 * Is an upstream alive? Only its answers to our pings count. The first ping goes out at once; the first pong has
 * INGEST_PONG_GRACE_NS, each later one has to come within the time-out of the one before it.
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
    bool was_patient;          /* heartbeat_be_patient was called since the last pong */
};

enum heartbeat_action { HEARTBEAT_NONE, HEARTBEAT_PING, HEARTBEAT_DEAD };

void heartbeat_start(struct heartbeat *heartbeat, uint64_t interval_ns, uint64_t timeout_ns, uint64_t now_ns);

/* What is due now: to send a ping, to give the connection up, or nothing. */
enum heartbeat_action heartbeat_poll(struct heartbeat *heartbeat, uint64_t now_ns);

/* A pong came. */
void heartbeat_pong(struct heartbeat *heartbeat, uint64_t now_ns);

/* The pongs could not be read until now, by our own doing: the one awaited gets the whole time-out once more. */
void heartbeat_excuse(struct heartbeat *heartbeat, uint64_t now_ns);

/*
 * It is HEARTBEAT_DEAD while more of the upstream is being read, in which its pong may be: gives the whole time-out once more, but once
 * only until a pong comes. False if it did so before.
 */
bool heartbeat_be_patient(struct heartbeat *heartbeat, uint64_t now_ns);

/* When heartbeat_poll has to be called next. */
uint64_t heartbeat_deadline(const struct heartbeat *heartbeat);

#endif
