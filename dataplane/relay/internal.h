/* A relay's own structure, which its files share. */
#ifndef DATAPLANE_RELAY_INTERNAL_H
#define DATAPLANE_RELAY_INTERNAL_H

#include "flashrelay/relay.h"
#include "flashrelay/thread.h"

#include <pthread.h>

/* One of the relay's threads: it turns its object until it is told to stop. */
struct relay_thread {
    char name[THREAD_NAME_BYTES];
    int core; /* -1: not pinned */
    void (*turn)(void *object);
    void *object;
    struct waker *waker;
    pthread_t thread;
    bool started;
    _Atomic bool stopping, ended;
};

struct relay_shard {
    struct shard *shard;
    counter *app_connections; /* one per app, NULL without apps */
};

struct relay {
    struct relay_options options;
    /* [0] what upstreams bring, [1] the same encoded, if compressing; subscribers receive the last. Each with marks of its own. */
    struct channel *channels[2];
    struct channel_marks *marks[2];
    unsigned channel_count;

    struct engine_choice engines; /* [0] the ingest's, then the shards' */
    struct ingest *ingest;
    struct engine *ingest_engine;
    struct encoder *encoder;
    struct waker *encoder_waker; /* what the ingest wakes where it is not the shards */
    struct relay_shard *shards;
    struct engine **shard_engines;
    struct waker **shard_wakers;
    struct admission_queue *answers;

    struct relay_thread *threads; /* ingest, shards, encoder */
    unsigned thread_count;
    bool ingest_stopped;
};

/* Creates all parts of a relay whose options are set, and listens. What was made stays there if the rest fails. */
int relay_create_parts(struct relay *relay);

/* Logs that `what` could not be created; returns `error`. */
int relay_fail(int error, const char *what);

/* The core for thread `index` (0: ingest, then the shards), -1 if threads are not pinned. */
int relay_core(const struct relay_options *options, unsigned index);

/* True if ingest and the only shard are to poll on one core: two threads would take it from each other, so one turns both. */
bool relay_is_one_loop(const struct relay_options *options);

/* True if ingest (0) or a shard (from 1) polls: its thread has its core to itself. */
bool relay_spins(const struct relay_options *options, unsigned index);

/* Starts the thread, on its core. 0 or a negative errno, which was logged. */
int relay_thread_start(struct relay_thread *thread);

/* Tells all of them to stop, wakes them and waits for their end; those that were not started are skipped. */
void relay_threads_stop(struct relay_thread *threads, unsigned count);

#endif
