/* An ingest on the simulated network, builders that misbehave on demand, and a reader that can hold the log on demand. */
#ifndef TESTS_SUPPORT_INGEST_WORLD_H
#define TESTS_SUPPORT_INGEST_WORLD_H

#include "flashrelay/channel.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/ingest.h"
#include "flashrelay/ws_uri.h"
#include "support/mock_builder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INGEST_WORLD_BUILDERS = 4 };

struct published_message {
    uint8_t *bytes;
    size_t length;
};

struct ingest_world_options {
    unsigned builders;
    const char *uris[INGEST_WORLD_BUILDERS]; /* NULL: ws:// of the builder */
    struct ingest_options ingest;            /* members that are 0 get the relay's default */
    size_t arena_bytes;                      /* 0: 1 MiB */
    struct sim_network_options network;
    bool listeners_missing; /* the builders' ports are closed; mock_builder_listen opens them */
};

struct ingest_world {
    struct sim_network *network;
    struct channel_marks marks;
    struct channel *channel;
    struct engine *engine;
    struct ingest *ingest;
    struct ws_uri uris[INGEST_WORLD_BUILDERS];
    struct mock_builder builders[INGEST_WORLD_BUILDERS];
    unsigned builder_count;
    bool log_held;      /* the reader reads nothing and does not move its mark */
    uint64_t read_next; /* sequence number that the reader reads next */
    struct published_message *published;
    size_t published_count;
};

/* Makes a world; aborts on failure. */
struct ingest_world *ingest_world_open(const struct ingest_world_options *options);
void ingest_world_close(struct ingest_world *world);

/* Runs the world for `ns` of virtual time. */
void ingest_world_run(struct ingest_world *world, uint64_t ns);

/* Does a shard's part: reads new frames, and moves the mark past them. Does nothing while `log_held`. */
void ingest_world_read_log(struct ingest_world *world);

/* The counters of the upstream that is builder `builder`. */
const struct upstream_counters *ingest_world_counters(const struct ingest_world *world, unsigned builder);

#endif
