/*
 * Fan-out: offering what was published to everybody, in rounds over the open subscribers, a slice a turn; the mark that follows from it;
 * and how long it took. When a round has ended, everybody was offered everything up to its head.
 */
#ifndef DATAPLANE_SHARD_FANOUT_H
#define DATAPLANE_SHARD_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

struct shard;
struct subscriber;
struct engine_progress;

/* Most frames of one round whose times are recorded: the newest. */
#define FANOUT_MEASURED_FRAMES 128

/* How long the frames of one round take to their first and last subscriber. */
struct measurement {
    uint32_t id;      /* never 0 */
    uint32_t pending; /* subscribers offered and not yet served whole or blocked */
    uint32_t frames;
    bool offered; /* the round has ended */
    bool running;
    uint64_t from;              /* first frame of the round */
    uint64_t first_ns, last_ns; /* first byte taken, last subscriber served; 0: not yet */
    uint64_t ingest_ns[FANOUT_MEASURED_FRAMES];
};

struct fanout {
    uint64_t completed; /* everybody was offered everything up to here */
    uint64_t target;    /* the running round's head; `completed` between rounds */
    uint32_t start;     /* where the running, or last, round began in shard->open */
    uint32_t next;      /* whom it visits next */
    bool wrapped;       /* it is past the list's end, on its way to `start` */
    uint64_t mark;      /* as published */
    struct measurement measurement;
};

void fanout_init(struct shard *shard);

/* Takes an opening subscriber in; it gets what is published from now on. */
void fanout_join(struct shard *shard, struct subscriber *subscriber);

/* Takes one out; its frames in flight are held as long as the engine holds them. */
void fanout_leave(struct shard *shard, struct subscriber *subscriber);

/* True if there is something to offer. */
bool fanout_is_due(const struct shard *shard);

/* Offers to the next slice of subscribers, beginning a round if none runs and there is something new. */
void fanout_turn(struct shard *shard);

/* Offers one subscriber, out of turn, what it has not been offered. */
void fanout_offer(struct shard *shard, struct subscriber *subscriber);

/* A subscriber was served. */
void fanout_progressed(struct shard *shard, struct subscriber *subscriber, const struct engine_progress *progress);

/* Publishes the lowest frame that this shard may still touch. */
void fanout_publish_mark(struct shard *shard);

#endif
