/*
 * How long the frames of one fan-out round take to their first and to their last subscriber. One measurement runs at a time: it waits for
 * everybody who was offered the round's frames until they were served whole or refused bytes. Plain values; one thread.
 */
#ifndef DATAPLANE_SHARD_ROUND_TIMES_H
#define DATAPLANE_SHARD_ROUND_TIMES_H

#include "flashrelay/channel.h"
#include "flashrelay/histogram.h"

#include <stdbool.h>
#include <stdint.h>

/* Most frames of one round whose times are recorded: the newest. */
#define ROUND_TIMES_FRAMES 128
/* The measurement of a subscriber that none waits for. */
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
    uint64_t first_ns, last_ns; /* first byte taken, last subscriber served; 0: not yet */
    uint64_t ingest_ns[ROUND_TIMES_FRAMES];
};

/* Begins with the frames [from, to) of `channel`, which are about to be offered. A measurement that still runs ends with what it has. */
void round_times_begin(struct round_times *times, const struct channel *channel, uint64_t from, uint64_t to);

/* Everybody was offered the frames: the measurement ends with the last of those that it waits for. */
void round_times_offered(struct round_times *times);

/* Waits for one more subscriber; returns the id to give back with round_times_served or round_times_leave. */
uint32_t round_times_wait(struct round_times *times);

/* Waits no more for the subscriber that was given `id`, if it does. */
void round_times_leave(struct round_times *times, uint32_t id);

/* What a service achieved for a subscriber that the measurement may wait for. */
struct round_service {
    uint64_t next_untaken; /* the lowest frame that it has not whole */
    bool took_bytes;
    bool whole;   /* it has everything it was offered */
    bool blocked; /* it refused bytes */
};

/* A subscriber that was given `id` was served. True if it need not be waited for any more: its id is then ROUND_TIMES_NONE. */
bool round_times_served(struct round_times *times, uint32_t id, const struct round_service *service, uint64_t now_ns);

#endif
