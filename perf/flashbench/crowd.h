/*
 * Plays the subscribers, thousands on one thread. It reads with plain non-blocking calls and not with the relay's engine, so that a fault
 * of the engine is not hidden by the same fault here. To stay faster than any proxy it reads only the beginning of a large message, which
 * identifies it, and lets the kernel drop the rest without copying (MSG_TRUNC); a sample of the messages is read and compared whole.
 */
#ifndef PERF_FLASHBENCH_CROWD_H
#define PERF_FLASHBENCH_CROWD_H

#include "flashbench/messages.h"
#include "flashrelay/address.h"
#include "flashrelay/ws_uri.h"

#include <stdbool.h>
#include <stdint.h>

enum crowd_kind {
    CROWD_READER,  /* reads everything at once; only readers are measured */
    CROWD_SLOW,    /* reads slow_bytes_per_s */
    CROWD_STALLED, /* reads nothing */
    CROWD_KINDS
};

struct crowd_options {
    struct address target;
    const struct ws_uri *uri; /* of the upgrade requests */
    uint32_t counts[CROWD_KINDS];
    uint64_t slow_bytes_per_s;
    uint64_t reconnect_ns;     /* a subscriber that the proxy cut off reconnects after this time; 0: never */
    uint64_t skip_above_bytes; /* messages up to this are always compared whole */
    uint32_t verify_every;     /* of larger ones, one in this many deliveries is compared whole */
    struct messages *messages;
};

struct crowd_counters {
    uint64_t connects, refused;
    uint64_t cut_off[CROWD_KINDS]; /* connections that the proxy ended */
    uint64_t close_codes[5000];    /* by code of the proxy's close frame; [0]: ended without one */
    uint64_t protocol_errors;
    uint64_t kernel_stamps;
    struct recorder read_delay; /* from the kernel's time stamp to the return of the read */
};

struct crowd;

/* Creates the subscribers, without connecting them. 0 or a negative errno. */
int crowd_create(struct crowd **out, const struct crowd_options *options);
void crowd_destroy(struct crowd *crowd);

/* Handles socket events, waiting for them at most `timeout_ns`. Returns how many sockets had events. */
unsigned crowd_turn(struct crowd *crowd, uint64_t timeout_ns);

/* Performs the work that is due at `now_ns`: new connections, reconnects, reads of slow subscribers. */
void crowd_tick(struct crowd *crowd, uint64_t now_ns);

/* `count` readers disconnect, in rotation, and reconnect at once. */
void crowd_churn(struct crowd *crowd, uint32_t count);

/* How many subscribers, of all kinds, are upgraded and open. */
uint32_t crowd_open(const struct crowd *crowd);

/* To how many readers the next message will be owed. */
uint32_t crowd_owed(const struct crowd *crowd);

/* Sets all counters to 0, at the beginning of the measured time. */
void crowd_reset_counters(struct crowd *crowd);
const struct crowd_counters *crowd_counters_get(const struct crowd *crowd);

#endif
