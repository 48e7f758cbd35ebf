/* A shard's own structure, which its files share. */
#ifndef DATAPLANE_SHARD_INTERNAL_H
#define DATAPLANE_SHARD_INTERNAL_H

#include "base/slab.h"
#include "base/timer.h"
#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "shard/drain.h"
#include "shard/fanout.h"
#include "shard/handshake_places.h"
#include "shard/subscriber.h"

struct shard {
    struct shard_options options;
    struct engine *engine;
    uint64_t now_ns;                   /* the engine's clock: in a callback, or after the turn's I/O; timers start by it */
    uint64_t told_ns;                  /* what had happened by then has been told: time-outs are judged by it */
    struct admission_request *answers; /* of control, taken from the queue and not worked off */
    struct random random;

    struct slab subscribers;
    struct slab heads;   /* incomplete requests, HTTP_MAX_REQUEST_BYTES each */
    struct slab readers; /* half-read frames and messages */

    struct fanout fanouts[SHARD_MAX_CHANNELS];    /* one per channel */
    struct fanout_mark marks[SHARD_MAX_CHANNELS]; /* one per set of marks */
    unsigned mark_count;
    uint32_t open_count;             /* subscribers that are open, of all channels */
    struct handshake_places *places; /* of those whose request is being read */
    uint32_t admitting;              /* wait for control's answer */
    bool accept_paused;

    struct timer_queue handshaking, pings, pongs, closing;
    uint64_t next_expiry_ns;                /* when the next of them was to end, as of the last turn */
    uint64_t held_up_until_ns;              /* what ended by then ended while the thread was held up; 0: it never was */
    struct timer_queue blocked;             /* who took bytes last is last */
    uint64_t lag_heads[SHARD_MAX_CHANNELS]; /* the heads at the last look at all of them */
    uint64_t lag_look_ns;                   /* when to look again even if nothing is published, CLOCK_NEVER */

    struct drain drain;
    struct shard_counters counters;
};

/* What the engine tells: events.c. */
extern const struct engine_handler shard_engine_handler;

/* An open subscriber, drawn at random; there is one. */
struct subscriber *shard_pick_open(struct shard *shard);

/* The fan-out of the channel that the subscriber follows. */
static inline struct fanout *shard_fanout_of(struct shard *shard, const struct subscriber *subscriber)
{
    return &shard->fanouts[subscriber->channel];
}

#endif
