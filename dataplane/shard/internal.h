/* A shard's own structure, which its files share. */
#ifndef DATAPLANE_SHARD_INTERNAL_H
#define DATAPLANE_SHARD_INTERNAL_H

#include "base/slab.h"
#include "base/timer.h"
#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "shard/drain.h"
#include "shard/fanout.h"
#include "shard/subscriber.h"

struct shard {
    struct shard_options options;
    struct engine *engine;
    uint64_t now_ns; /* the engine's clock at the last callback or turn */
    struct random random;
    struct holds holds;

    struct slab subscribers;
    struct slab heads;   /* incomplete requests, HTTP_MAX_REQUEST_BYTES each */
    struct slab readers; /* half-read frames and messages */

    struct subscriber **open; /* the open ones, dense, in no order; `fanout` walks it */
    uint32_t open_count;
    uint32_t handshakes; /* in the handshake or admitting */
    bool accept_paused;

    struct timer_queue handshaking, pings, pongs, closing;
    struct timer_queue blocked; /* who took bytes last is last */
    uint64_t lag_head;          /* the head at the last look at all of them */
    uint64_t lag_look_ns;       /* when to look again even if nothing is published, CLOCK_NEVER */

    struct fanout fanout;
    struct drain drain;
    struct shard_counters counters;
};

#endif
