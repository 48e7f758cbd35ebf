/*
 * Fan-out of one channel to the subscribers of one shard that follow it: offering what was published to everybody, in rounds, a slice per
 * turn, and how long that took. When a round has ended, everybody was offered everything up to its head.
 *
 * Subscribers are in groups; a round visits the groups in order, and within a group begins at another subscriber than the last round, so
 * that nobody of a group is always first or always last.
 */
#ifndef DATAPLANE_SHARD_FANOUT_H
#define DATAPLANE_SHARD_FANOUT_H

#include "base/slab.h"
#include "flashrelay/engine.h"
#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "shard/round_times.h"

/* All subscribers are in the first group. */
#define FANOUT_GROUPS 1

struct subscriber;

/* What the shard has published of the sequence numbers that it may still touch, for the channels that share a set of marks. */
struct fanout_mark {
    struct channel_marks *marks;
    unsigned reader;
    uint64_t sequence; /* as published; CHANNEL_MARK_NONE: nothing */
};

struct fanout_group {
    uint32_t *open; /* the numbers of its open subscribers' slots, dense, in no order */
    uint32_t count;
    uint32_t start; /* where the running, or last, round began */
};

struct fanout {
    struct channel *channel;
    struct fanout_mark *mark;
    const struct slab *subscribers;
    uint32_t capacity; /* of each group */
    struct shard_counters *counters;
    struct engine *engine;
    uint16_t number; /* the engine's of the channel */
    struct holds holds;

    struct fanout_group groups[FANOUT_GROUPS];
    uint32_t open_count; /* in all groups */
    uint64_t completed;  /* everybody was offered everything up to here */
    uint64_t target;     /* the running round's head; `completed` between rounds */
    unsigned group;      /* that the round is in */
    uint32_t next;       /* whom it visits next of that */
    bool wrapped;        /* it is past the group's end, on its way to `start` */
    struct round_times times;
    /* The lag policy's search for who keeps a frame below the floor pinned. */
    uint64_t floor;       /* that it looked for last */
    uint32_t floor_place; /* whom it looks at next */
    uint32_t floor_looks; /* how many are left to be looked at */
};

/* `subscribers` has at most `capacity` elements; all that is pointed to outlives the fan-out. 0 or -ENOMEM; fanout_dispose takes it back. */
int fanout_init(struct fanout *fanout, struct channel *channel, struct fanout_mark *mark, const struct slab *subscribers,
                uint32_t capacity, struct shard_counters *counters);
void fanout_dispose(struct fanout *fanout);

/* Makes the channel known to the engine. 0 or what engine_add_channel says. */
int fanout_attach(struct fanout *fanout, struct engine *engine);

/* Takes an opening subscriber in; it gets what is published from now on. */
void fanout_join(struct fanout *fanout, struct subscriber *subscriber);

/* Takes one out; its frames in flight are held as long as the engine holds them. */
void fanout_leave(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns);

/* True if there is something to offer. */
bool fanout_is_due(const struct fanout *fanout);

/* Offers to the next slice of subscribers, beginning a round if none runs and there is something new. */
void fanout_turn(struct fanout *fanout, struct random *random, uint64_t now_ns);

/* Offers one subscriber, out of turn, what it has not been offered. */
void fanout_offer(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns);

/* A subscriber was served. */
void fanout_progressed(struct fanout *fanout, struct subscriber *subscriber, const struct engine_progress *progress,
                       uint64_t now_ns);

/* Frames published and not yet offered to everybody. */
uint64_t fanout_backlog(const struct fanout *fanout);

/* The lowest frame of the channel that the shard may still touch, CHANNEL_MARK_NONE if none. */
uint64_t fanout_lowest(const struct fanout *fanout);

/* An open subscriber by its place, from 0 to open_count - 1, in no order. */
struct subscriber *fanout_open_at(const struct fanout *fanout, uint32_t place);

#endif
