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
    uint64_t now_ns;                   /* engine's clock, as last read or passed to a callback; timers start at it */
    uint64_t events_until_ns;          /* events up to this time have been handled; time-outs are compared with it */
    struct admission_request *answers; /* control's, taken from the queue and not handled yet; linked by `next` */
    struct random random;

    struct slab subscribers;
    struct slab heads;   /* incomplete requests, HTTP_MAX_REQUEST_BYTES each */
    struct slab readers; /* half-read frames and messages */

    struct fanout fanouts[SHARD_MAX_CHANNELS];    /* one per channel */
    struct fanout_mark marks[SHARD_MAX_CHANNELS]; /* one per set of marks */
    unsigned mark_count;
    uint32_t open_count;             /* subscribers that are open, of all channels */
    struct handshake_places *places; /* of connections whose request is being read */
    uint32_t admitting;              /* subscribers that wait for control's answer */
    bool accept_paused;

    struct timer_queue handshaking, pings, pongs, closing;
    uint64_t next_expiry_ns;    /* earliest deadline of these after the last turn, at least its events_until_ns */
    uint64_t held_up_until_ns;  /* timers with a deadline up to this ended while the thread was held up; 0: none */
    struct timer_queue blocked; /* watched subscribers (lag.h), by when their send time-out was last started */
    uint64_t lag_checked_heads[SHARD_MAX_CHANNELS]; /* the channels' heads when all watched subscribers were last checked */
    uint64_t next_lag_check_ns;                     /* when to check them again even if nothing is published, or CLOCK_NEVER */

    struct drain drain;
    struct shard_counters counters;
};

/* Handles the engine's events (events.c). */
extern const struct engine_handler shard_engine_handler;

/* Returns an open subscriber drawn at random; at least one must be open. */
struct subscriber *shard_pick_open(struct shard *shard);

/* The fan-out of the channel that the subscriber follows. */
static inline struct fanout *shard_fanout_of(struct shard *shard, const struct subscriber *subscriber)
{
    return &shard->fanouts[subscriber->channel];
}

#endif
