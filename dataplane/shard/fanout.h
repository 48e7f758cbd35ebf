/*
 * Fan-out of one channel to the subscribers of one shard that follow it: offers what was published to all of them, in rounds, a slice of
 * the subscribers per turn, and measures how long that takes. A round has a head, the channel's when the round began; at the round's end
 * every subscriber has been offered all frames up to it.
 *
 * Subscribers are in groups; a round visits the groups in order, and within a group begins at another subscriber than the last round, so
 * that no subscriber is always the first or always the last of its group.
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

/* The shard's mark in one set of marks, shared by the channels that have this set: the lowest sequence number that it may still touch. */
struct fanout_mark {
    struct channel_marks *marks;
    unsigned reader;
    uint64_t sequence; /* as last published; CHANNEL_MARK_NONE: the shard touches nothing */
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
    uint16_t number; /* the engine's number of the channel */
    struct holds holds;

    struct fanout_group groups[FANOUT_GROUPS];
    uint32_t open_count; /* in all groups */
    uint64_t completed;  /* every open subscriber was offered all frames up to this one */
    uint64_t target;     /* the running round's head; `completed` between rounds */
    unsigned group;      /* index of the group that the round visits */
    uint32_t next;       /* index in that group's `open` of the subscriber to be visited next */
    bool wrapped;        /* the round has passed the end of `open` and visits what is before `start` */
    struct round_times times;
    /* The lag policy's search for subscribers that keep a frame below the floor pinned (lag.c). */
    uint64_t checked_floor;    /* of the channel, when the shard last looked for subscribers below it */
    uint64_t floor;            /* of the last search */
    uint32_t pin_search_place; /* place of the subscriber to be checked next, modulo open_count */
    uint32_t pin_search_left;  /* how many subscribers are still to be checked */
};

/* `subscribers` has at most `capacity` elements; all pointers must outlive the fan-out. 0 or -ENOMEM; fanout_dispose frees it in either case. */
int fanout_init(struct fanout *fanout, struct channel *channel, struct fanout_mark *mark, const struct slab *subscribers,
                uint32_t capacity, struct shard_counters *counters);
void fanout_dispose(struct fanout *fanout);

/* Makes the channel known to the engine. 0 or what engine_add_channel says. */
int fanout_attach(struct fanout *fanout, struct engine *engine);

/* Adds a subscriber that opens; it is offered what is published from now on. */
void fanout_join(struct fanout *fanout, struct subscriber *subscriber);

/* Removes a subscriber; its frames in flight stay held until the engine lets go of them. */
void fanout_leave(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns);

/* True if there is something to offer. */
bool fanout_is_due(const struct fanout *fanout);

/* Offers to the next slice of subscribers, beginning a round if none runs and there is something new. */
void fanout_turn(struct fanout *fanout, struct random *random, uint64_t now_ns);

/* Offers one subscriber, in or out of turn, the frames up to the running, or last, round's head that it has not been offered. */
void fanout_offer(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns);

/* Notes what a service sent to a subscriber: its frames, bytes and times. */
void fanout_progressed(struct fanout *fanout, struct subscriber *subscriber, const struct engine_progress *progress,
                       uint64_t now_ns);

/* Frames published and not yet offered to everybody. */
uint64_t fanout_backlog(const struct fanout *fanout);

/* The lowest frame of the channel that the shard may still touch, CHANNEL_MARK_NONE if none. */
uint64_t fanout_lowest(const struct fanout *fanout);

/* An open subscriber by its place, from 0 to open_count - 1, in no order. */
struct subscriber *fanout_open_at(const struct fanout *fanout, uint32_t place);

#endif
