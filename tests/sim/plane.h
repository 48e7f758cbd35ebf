/* The data plane under test, and the threads that drive it. */
#ifndef TESTS_SIM_PLANE_H
#define TESTS_SIM_PLANE_H

#include "access/limits.h"
#include "flashrelay/access.h"
#include "flashrelay/admission.h"
#include "flashrelay/encoder.h"
#include "flashrelay/ingest.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws_uri.h"
#include "sim/builder.h"
#include "sim/plan.h"
#include "sim/thread.h"
#include "sim/witness.h"

#define RELAY_PORT   8545
#define MAX_FOLLOWED 2

enum { THREAD_INGEST, THREAD_CONTROL, THREAD_ENCODER, THREAD_SHARDS /* the first of them */ };
enum { MAX_THREADS = THREAD_SHARDS + MAX_SHARDS };

/* A channel that subscribers follow, by the number that every shard has for it. */
struct followed {
    struct channel *channel;
    struct channel_marks *marks;
    unsigned first_reader; /* the first shard's */
    struct waker *publisher;
    const struct record *record;
};

struct plane {
    struct channel_marks source_marks, target_marks;
    struct channel *source, *target; /* the same channel if nothing is compressed */
    struct selection selections[MAX_SELECTIONS];
    struct followed followed[MAX_FOLLOWED];
    unsigned followed_count;
    struct ingest *ingest;
    struct engine *ingest_engine;
    struct ws_uri upstreams[MAX_BUILDERS];
    struct encoder *encoder;
    struct shard *shards[MAX_SHARDS];
    struct engine *shard_engines[MAX_SHARDS];
    struct waker *shard_wakers[MAX_SHARDS];
    struct witness witnesses[MAX_SHARDS];
    uint64_t told_ns[MAX_SHARDS]; /* a shard has been told everything that had happened by this time */
    struct snapshot_group *snapshots;
    struct snapshot_slot access;
    struct descriptor_budget descriptors;
    struct admission admission;
    struct admission_queue answers[MAX_SHARDS];
    struct limits *limits;
    struct waker *ingest_wakes[MAX_SHARDS + 1], *encoder_wakes[MAX_SHARDS];
};

void plane_create(struct sim_world *world);
void plane_destroy(struct sim_world *world);

/* True if a frame with this much payload is in the selection; all are in number 0. */
bool plane_selects(uint16_t selection, size_t payload_bytes);

/* --- its threads (plane_threads.c) --- */

unsigned plane_threads(const struct sim_world *world);
bool plane_thread_is_runnable(const struct sim_world *world, unsigned thread);
uint64_t plane_thread_deadline(const struct sim_world *world, unsigned thread);
void plane_thread_turn(struct sim_world *world, unsigned thread);
const char *plane_thread_name(unsigned thread);
/* Notes that the thread has been told everything that had happened by `told_ns`. */
void plane_note_look(const struct sim_thread *thread, uint64_t told_ns);

#endif
