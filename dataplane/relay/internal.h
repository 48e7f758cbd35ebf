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
    /* [0] what upstreams bring; [1] the same encoded, if compressing. Subscribers follow the last one. Each channel has its own marks. */
    struct channel *channels[2];
    struct channel_marks *marks[2];
    unsigned channel_count;

    int engine_error;             /* 0, or why the last engine could not be created */
    struct engine_choice engines; /* the kind in use, opened for the shards' engines, and before them for the ingest's */
    struct engine_choice
        ingest_engines; /* where the shards' kind only accepts, another kind, for the ingest's; else not opened */
    struct ingest *ingest;
    struct engine *ingest_engine;
    struct encoder *encoder;
    struct waker *encoder_waker; /* if compressing, the ingest wakes the encoder instead of the shards */
    struct relay_shard *shards;
    struct engine **shard_engines;
    struct waker **shard_wakers;
    struct admission_queue *answers;

    struct relay_thread *threads; /* ingest, shards, encoder */
    unsigned thread_count;
    bool ingest_stopped;
};

/* Creates all parts of a relay whose options are set, and listens. 0 or a negative errno; relay_destroy frees what was created in either case. */
int relay_create_parts(struct relay *relay);

/* Destroys ingest, encoder and shards with their engines, as far as they exist; relay_create_parts may create them again. */
void relay_destroy_loops(struct relay *relay);

/* Logs that `what` could not be created; returns `error`. */
int relay_fail(int error, const char *what);

/* The core for thread `index` (0: ingest, then the shards), -1 if threads are not pinned. */
int relay_core(const struct relay_options *options, unsigned index);

/* True if ingest and the only shard are to poll on one core. One thread then turns both: two would take the core from each other. */
bool relay_is_one_loop(const struct relay_options *options);

/* True if ingest (0) or a shard (from 1) polls: busy_poll is set and its thread has a core to itself. */
bool relay_spins(const struct relay_options *options, unsigned index);

/* Starts the thread, on its core. 0 or a negative errno, which was logged. */
int relay_thread_start(struct relay_thread *thread);

/* Tells all `count` threads to stop, wakes them and waits for their end; threads that were not started are skipped. */
void relay_threads_stop(struct relay_thread *threads, unsigned count);

#endif
