/*
 * The witness: a handler between each shard and its engine. It notes the engine's events of a subscriber's connection, so that the checks of
 * cause_check.c need not rely on what the shard itself has noted.
 */
#ifndef TESTS_SIM_WITNESS_H
#define TESTS_SIM_WITNESS_H

#include "flashrelay/engine.h"

#define MOST_PONGS_UNDER_WAY 64

struct sim_world;
struct client;

/* A point of time, and the newest frame at that time. */
struct moment {
    uint64_t ns, head;
};

/* The engine's events of one subscriber's connection. */
struct testimony {
    uint64_t accepted_ns, opened_ns, finished_ns;
    uint64_t consumed_bytes;                  /* of what the subscriber sent */
    uint64_t pong_ns;                         /* when the shard consumed its last pong */
    bool behind;                              /* it refused bytes, and has not taken everything since */
    struct moment refused_first;              /* just before the shard was told of the refusal, ... */
    struct moment refused_latest;             /* ... and just after: the shard's own note lies between */
    uint64_t moved_ns;                        /* when it last took or acknowledged bytes, or began to refuse them */
    uint64_t reported_ns;                     /* when the shard was last told of its progress */
    uint64_t pong_ends[MOST_PONGS_UNDER_WAY]; /* where each pong ends in the stream that the subscriber sends, by its number */
    unsigned pongs_sent, pongs_consumed;
};

struct witness {
    const struct engine_handler *handler;
    void *context;
    struct sim_world *world;
};

/* Puts the witness between the engine that will have these options and its handler. */
void witness_place(struct witness *witness, struct sim_world *world, struct engine_options *options);

/* The subscriber at the other end of the relay's connection `end`; NULL if that end is gone. */
struct client *witness_client_of(const struct connection *end);

/* Notes that a shard opens the subscriber of this connection. */
void witness_note_open(const struct connection *end);

/* Notes that the relay ends its side of this connection, and waits for the peer to end the other. */
void witness_note_finish(const struct connection *end);

/* Notes that a subscriber sends a pong, which ends at byte `end` of the stream that it sends. */
void witness_expect_pong(struct client *client, uint64_t end);

#endif
