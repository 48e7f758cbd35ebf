/*
 * Between each shard and its engine: notes what the engine tells of a subscriber's connection, so that the judge knows it from elsewhere
 * than the shard itself.
 */
#ifndef TESTS_SIM_WITNESS_H
#define TESTS_SIM_WITNESS_H

#include "flashrelay/engine.h"

#define MOST_PONGS_UNDER_WAY 64

struct sim_world;
struct client;

/* A point of time, and the newest frame then. */
struct moment {
    uint64_t ns, head;
};

/* What the engine has told of one subscriber's connection. */
struct testimony {
    uint64_t accepted_ns, opened_ns, finished_ns;
    uint64_t consumed_bytes;                  /* of what the subscriber sent */
    uint64_t pong_ns;                         /* when its last pong was handed over */
    bool behind;                              /* it refused bytes, and has not taken everything since */
    struct moment refused_first;              /* before the shard was told so, and after: it has noted a moment between the two */
    struct moment refused_latest;             /* ... */
    uint64_t moved_ns;                        /* when bytes were taken or acknowledged last, or it began to refuse */
    uint64_t reported_ns;                     /* when the shard was told of its progress last, */
    uint64_t pong_ends[MOST_PONGS_UNDER_WAY]; /* where the pongs end in what the subscriber sends, by number */
    unsigned pongs_sent, pongs_consumed;
};

struct witness {
    const struct engine_handler *handler;
    void *context;
    struct sim_world *world;
};

/* Puts the witness between the engine that will have these options and its handler. */
void witness_place(struct witness *witness, struct sim_world *world, struct engine_options *options);

/* The subscriber whose connection has this end in the relay; NULL if it has none any more. */
struct client *witness_client_of(const struct connection *end);

/* A shard makes a subscriber of this connection. */
void witness_note_open(const struct connection *end);

/* The relay has said all that it has to say on this connection, and waits for the peer's end. */
void witness_note_finish(const struct connection *end);

/* A subscriber says a pong, whose last byte is the byte `end` of what it says. */
void witness_expect_pong(struct client *client, uint64_t end);

#endif
