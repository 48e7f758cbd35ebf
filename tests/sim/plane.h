/* The data plane under test, and the threads that drive it. */
#ifndef TESTS_SIM_PLANE_H
#define TESTS_SIM_PLANE_H

#include "access/limits.h"
#include "flashrelay/admission.h"
#include "flashrelay/encoder.h"
#include "flashrelay/ingest.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws_uri.h"
#include "sim/builder.h"
#include "sim/plan.h"
#include "sim/thread.h"
#include "sim/witness.h"

#define RELAY_PORT  8545
#define MAX_THREADS (3 + MAX_SHARDS)

struct plane {
    struct channel_marks source_marks, target_marks;
    struct channel *source, *target; /* the same where nothing is compressed */
    struct ingest *ingest;
    struct engine *ingest_engine;
    struct ws_uri upstreams[MAX_BUILDERS];
    struct encoder *encoder;
    struct shard *shards[MAX_SHARDS];
    struct engine *shard_engines[MAX_SHARDS];
    struct waker *shard_wakers[MAX_SHARDS];
    struct witness witnesses[MAX_SHARDS];
    uint64_t looked_ns[MAX_SHARDS]; /* up to when a shard has been told what happened */
    struct admission admission;
    struct admission_queue answers[MAX_SHARDS];
    struct limits *limits;
    struct waker *ingest_wakes[MAX_SHARDS], *encoder_wakes[MAX_SHARDS];
};

void plane_create(struct sim_world *world);
void plane_destroy(struct sim_world *world);
/* The threads: ingest, shards, encoder, control. */
unsigned plane_threads(const struct sim_world *world);
bool plane_thread_is_runnable(const struct sim_world *world, unsigned thread);
uint64_t plane_thread_deadline(const struct sim_world *world, unsigned thread);
void plane_thread_turn(struct sim_world *world, unsigned thread);
const char *plane_thread_name(unsigned thread);
/* The thread has been told what had happened by `told_ns`. */
void plane_note_look(const struct sim_thread *thread, uint64_t told_ns);

#endif
