/*
 * Measures how long the frames of one fan-out round take to reach the first and the last subscriber. One measurement runs at a time: it
 * waits for each subscriber that was offered the round's frames until the subscriber has taken all of them or refused bytes. No I/O, no
 * clock; one thread.
 */
#ifndef DATAPLANE_SHARD_ROUND_TIMES_H
#define DATAPLANE_SHARD_ROUND_TIMES_H

#include "flashrelay/histogram.h"

#include <stdbool.h>
#include <stdint.h>

/* Most frames of one round whose times are recorded: the newest. */
#define ROUND_TIMES_FRAMES 128
/* The id of a subscriber that no measurement waits for. */
#define ROUND_TIMES_NONE 0

/* Where the times are recorded, in ns. */
struct round_histograms {
    struct histogram *first_send, *last_send, *spread;
};

struct round_times {
    struct round_histograms histograms;
    uint32_t id;      /* of the measurement: never ROUND_TIMES_NONE once one began */
    uint32_t pending; /* subscribers offered and not yet served whole or blocked */
    uint32_t frames;
    bool offered; /* everybody was offered the frames */
    bool running;
    uint64_t from;              /* first frame of the round */
    uint64_t first_ns, last_ns; /* first byte taken, latest subscriber served whole; 0: not yet */
    uint64_t ingest_ns[ROUND_TIMES_FRAMES];
};

/*
 * Begins measuring the frames from number `from` on, which are about to be offered. `ingest_ns`: when they came, of at most ROUND_TIMES_FRAMES
 * (`count`); copied. Ends, and records, a measurement that still runs.
 */
void round_times_begin(struct round_times *times, uint64_t from, const uint64_t *ingest_ns, uint32_t count);

/* Notes that every subscriber was offered the frames: the measurement ends with the last one that it waits for, or with the next round. */
void round_times_offered(struct round_times *times);

/* Waits for one more subscriber; returns the id to give back with round_times_served or round_times_leave. */
uint32_t round_times_wait(struct round_times *times);

/* Stops waiting for the subscriber that was given `id`. Does nothing if `id` is not of the running measurement. */
void round_times_leave(struct round_times *times, uint32_t id);

/* The state of a subscriber after a service. */
struct round_service {
    uint64_t next_untaken; /* the lowest frame that it has not taken whole */
    bool took_bytes;
    bool whole;   /* it has taken everything that it was offered */
    bool blocked; /* it refused bytes */
};

/* Notes a service of the subscriber that was given `id`. True if the measurement stops waiting for it: the caller then drops the id. */
bool round_times_served(struct round_times *times, uint32_t id, const struct round_service *service, uint64_t now_ns);

#endif
