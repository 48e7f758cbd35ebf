#include "flashrelay/relay.h"

#include "flashrelay/log.h"
#include "relay/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long the encoder sleeps when nobody wakes it. */
#define ENCODER_WAIT_MS 1000

/* --- life --- */

static void set_up_threads(struct relay *relay);

static void warn_of_shared_cores(const struct relay_options *options)
{
    bool spins = true;

    for (unsigned i = 0; i <= options->shards; i++)
        spins = spins && relay_spins(options, i);
    if (options->busy_poll && !spins)
        log_line(LOG_WARN, "relay",
                 "threads that share a core block instead of polling: --busy-poll needs --cpu-list with %u different cores, for "
                 "the ingest and each shard, or --shards 1 and one core for both",
                 options->shards + 1);
}

int relay_create(struct relay **out, const struct relay_options *options)
{
    struct relay *relay = calloc(1, sizeof *relay);
    int error;

    if (!relay)
        return relay_fail(-ENOMEM, "the relay");
    assert(options->shards > 0 && options->shards <= RELAY_MAX_SHARDS);
    relay->options = *options;
    error = relay_create_parts(relay);
    if (error != 0) {
        relay_destroy(relay);
        return error;
    }
    warn_of_shared_cores(options);
    set_up_threads(relay);
    *out = relay;
    return 0;
}

static void destroy_shards(struct relay *relay)
{
    for (unsigned i = 0; i < relay->options.shards && relay->shards; i++) {
        engine_destroy(relay->shard_engines[i]);
        relay->shard_engines[i] = NULL;
        shard_destroy(relay->shards[i].shard);
        free(relay->shards[i].app_connections);
        relay->shards[i] = (struct relay_shard){0};
    }
}

/* Destroys engines before their owners, which they may still touch. */
void relay_destroy_loops(struct relay *relay)
{
    if (relay->shard_engines)
        destroy_shards(relay);
    engine_destroy(relay->ingest_engine);
    relay->ingest_engine = NULL;
    ingest_destroy(relay->ingest);
    relay->ingest = NULL;
    encoder_destroy(relay->encoder);
    relay->encoder = NULL;
}

/* Destroys each part before those that it may still touch: the threads first, the channels last. */
void relay_destroy(struct relay *relay)
{
    relay_threads_stop(relay->threads, relay->thread_count);
    relay_destroy_loops(relay);
    engine_choice_close(&relay->ingest_engines);
    for (unsigned i = 0; i < 2; i++) {
        channel_destroy(relay->channels[i]);
        free(relay->marks[i]);
    }
    engine_choice_close(&relay->engines); /* the channels' memory may come from it */
    free(relay->threads);
    free(relay->answers);
    free(relay->shard_wakers);
    free(relay->shard_engines);
    free(relay->shards);
    free(relay);
}

/* --- threads --- */

static void turn_ingest(void *ingest)
{
    ingest_turn(ingest, CLOCK_NEVER);
}

static void turn_shard(void *shard)
{
    shard_turn(shard, CLOCK_NEVER);
}

static void turn_ingest_and_shard(void *context)
{
    struct relay *relay = context;

    turn_ingest(relay->ingest);
    turn_shard(relay->shards[0].shard);
}

static uint64_t monotonic(void *context)
{
    (void)context;
    return clock_monotonic_ns();
}

static void turn_encoder(void *encoder)
{
    if (!encoder_turn(encoder, monotonic, NULL))
        encoder_wait(encoder, ENCODER_WAIT_MS);
}

static void add_thread(struct relay *relay, const char *name, void (*turn)(void *object), void *object, struct waker *waker,
                       int core)
{
    struct relay_thread *thread = &relay->threads[relay->thread_count++];

    assert(strlen(name) < sizeof thread->name);
    strcpy(thread->name, name);
    thread->turn = turn;
    thread->object = object;
    thread->waker = waker;
    thread->core = core;
}

static void add_ingest_and_shards(struct relay *relay)
{
    const struct relay_options *options = &relay->options;

    if (relay_is_one_loop(options)) {
        add_thread(relay, "ingest+shard-0", turn_ingest_and_shard, relay, engine_waker(relay->ingest_engine),
                   relay_core(options, 0));
        return;
    }
    add_thread(relay, "ingest", turn_ingest, relay->ingest, engine_waker(relay->ingest_engine), relay_core(options, 0));
    for (unsigned i = 0; i < options->shards; i++) {
        char name[THREAD_NAME_BYTES];

        snprintf(name, sizeof name, "shard-%hhu", (unsigned char)i);
        add_thread(relay, name, turn_shard, relay->shards[i].shard, relay->shard_wakers[i], relay_core(options, i + 1));
    }
}

static void set_up_threads(struct relay *relay)
{
    add_ingest_and_shards(relay);
    if (relay->encoder)
        add_thread(relay, encoder_name(relay->encoder), turn_encoder, relay->encoder, encoder_waker(relay->encoder), -1);
}

int relay_start(struct relay *relay)
{
    int error = 0;

    for (unsigned i = 0; i < relay->thread_count && error == 0; i++)
        error = relay_thread_start(&relay->threads[i]);
    return error;
}

/* --- draining --- */

void relay_drain(struct relay *relay)
{
    for (unsigned i = 0; i < relay->options.shards; i++)
        shard_drain(relay->shards[i].shard);
}

bool relay_is_finished(struct relay *relay)
{
    for (unsigned i = 0; i < relay->options.shards; i++)
        if (!shard_is_drained(relay->shards[i].shard))
            return false;
    if (!relay->ingest_stopped)
        ingest_stop(relay->ingest);
    relay->ingest_stopped = true;
    return ingest_is_stopped(relay->ingest);
}

/* --- figures --- */

unsigned relay_channel_count(const struct relay *relay)
{
    return relay->channel_count;
}

const struct channel *relay_channel(const struct relay *relay, unsigned index)
{
    return relay->channels[index];
}

unsigned relay_shard_count(const struct relay *relay)
{
    return relay->options.shards;
}

const struct shard *relay_shard(const struct relay *relay, unsigned index)
{
    return relay->shards[index].shard;
}

const struct engine_choice *relay_engines(const struct relay *relay)
{
    return &relay->engines;
}

const struct engine *relay_shard_engine(const struct relay *relay, unsigned index)
{
    return relay->shard_engines[index];
}

uint64_t relay_app_connections(const struct relay *relay, unsigned app)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < relay->options.shards; i++)
        sum += counter_read(&relay->shards[i].app_connections[app]);
    return sum;
}

const struct ingest *relay_ingest(const struct relay *relay)
{
    return relay->ingest;
}

const struct engine *relay_ingest_engine(const struct relay *relay)
{
    return relay->ingest_engine;
}

const struct encoder *relay_encoder(const struct relay *relay)
{
    return relay->encoder;
}
