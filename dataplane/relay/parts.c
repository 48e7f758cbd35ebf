/* Creates the parts of a relay, in the order in which they need each other. */
#include "relay/internal.h"

#include "flashrelay/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_BACKLOG 4096
/* Most sends of one turn of a shard, before it handles everything else again. */
#define SENDS_PER_TURN 256
/* What subscribers send is short and is read at once; bytes that find no free buffer stay in the kernel. */
#define SHARD_RECEIVE_BUFFERS      128
#define SHARD_RECEIVE_BUFFER_BYTES 1024

int relay_fail(int error, const char *what)
{
    log_line(LOG_ERROR, "relay", "cannot create %s: %s", what, strerror(-error));
    return error;
}

static int create_marks(struct channel_marks **marks, unsigned count)
{
    void *memory;

    if (posix_memalign(&memory, _Alignof(struct channel_marks), sizeof(struct channel_marks)) != 0)
        return -ENOMEM;
    *marks = memory;
    channel_marks_init(*marks, count);
    return 0;
}

/* Where the shards' engines want the log to lie; NULL: anywhere. */
static const struct channel_memory_source *log_memory_source(const struct relay *relay)
{
    const struct engine_choice *engines = &relay->engines;

    return engines->kind->memory ? engines->kind->memory(engines->shared) : NULL;
}

static int create_channel(struct relay *relay, const char *name, unsigned readers)
{
    unsigned index = relay->channel_count;
    int error = create_marks(&relay->marks[index], readers);
    struct channel_options options = {
        .name = name,
        .arena_bytes = relay->options.log_memory_bytes / relay_channels_needed(relay->options.compress),
        .entries = SHARD_MAX_CHANNEL_ENTRIES,
        .marks = relay->marks[index],
        .memory = log_memory_source(relay),
    };

    if (error == 0)
        error = channel_create(&relay->channels[index], &options);
    if (error != 0)
        return relay_fail(error, "the frame log");
    relay->channel_count++;
    return 0;
}

static int create_channels(struct relay *relay)
{
    const struct relay_options *options = &relay->options;
    int error;

    if (!options->compress)
        return create_channel(relay, "json", options->shards);
    error = create_channel(relay, "json", 1); /* only the encoder reads it */
    return error == 0 ? create_channel(relay, brotli_encoding.name, options->shards) : error;
}

/* Both functions note an error, which create_loops handles, in relay->engine_error. */
static int create_ingest_engine(struct relay *relay, const struct engine_options *options)
{
    if (relay->ingest_engines.kind)
        relay->engine_error = engine_choice_create_one(&relay->ingest_engines, &relay->ingest_engine, options);
    else
        relay->engine_error = engine_choice_create(&relay->engines, &relay->ingest_engine, options, 0);
    return relay->engine_error;
}

static int create_engine_of_shard(struct relay *relay, unsigned shard, const struct engine_options *options)
{
    unsigned index = relay->ingest_engines.kind ? shard : 1 + shard;

    relay->engine_error = engine_choice_create(&relay->engines, &relay->shard_engines[shard], options, index);
    return relay->engine_error;
}

static int create_ingest(struct relay *relay)
{
    struct engine_options engine_options = {.busy_poll = relay_spins(&relay->options, 0), .zerocopy = ENGINE_ZEROCOPY_OFF};
    struct ingest_options *options = &relay->options.ingest;
    int error;

    options->channel = relay->channels[0];
    options->decompress = !relay->options.compress;
    options->wakers = relay->options.compress ? &relay->encoder_waker : relay->shard_wakers;
    options->waker_count = relay->options.compress ? 1 : relay->options.shards;
    error = ingest_create(&relay->ingest, options);
    if (error != 0)
        return error; /* ingest_create has logged why */
    ingest_engine_options(relay->ingest, &engine_options);
    error = create_ingest_engine(relay, &engine_options);
    if (error != 0)
        return error;
    ingest_attach(relay->ingest, relay->ingest_engine);
    return 0;
}

static int create_encoder(struct relay *relay)
{
    struct encoder_options options = {
        .encoding = &brotli_encoding,
        .source = relay->channels[0],
        .target = relay->channels[1],
        .marks = relay->marks[0],
        .wakers = relay->shard_wakers,
        .waker_count = relay->options.shards,
        .publisher = engine_waker(relay->ingest_engine),
        .max_message_bytes = relay->options.ingest.max_message_bytes,
    };
    int error;

    if (!relay->options.compress)
        return 0;
    error = encoder_create(&relay->encoder, &options);
    if (error != 0)
        return relay_fail(error, "the encoder");
    relay->encoder_waker = encoder_waker(relay->encoder);
    return 0;
}

static int create_shard(struct relay *relay, unsigned index)
{
    struct relay_shard *own = &relay->shards[index];
    struct shard_options options = relay->options.shard;
    unsigned last = relay->channel_count - 1;

    if (relay->options.apps > 0) {
        own->app_connections = calloc(relay->options.apps, sizeof *own->app_connections);
        if (!own->app_connections)
            return relay_fail(-ENOMEM, "counters of apps");
    }
    options.index = index;
    options.channels[0] = (struct shard_channel){
        .channel = relay->channels[last],
        .marks = relay->marks[last],
        .reader = index,
        .publisher = relay->encoder ? relay->encoder_waker : engine_waker(relay->ingest_engine),
    };
    options.channel_count = 1;
    options.admission = relay->options.admission;
    options.app_connections = own->app_connections;
    options.seed += index;
    int error = shard_create(&own->shard, &options);
    return error == 0 ? 0 : relay_fail(error, "a shard");
}

static int create_shard_engine(struct relay *relay, unsigned index)
{
    const struct relay_options *relay_options = &relay->options;
    struct engine_options options = {
        .receive_buffers = SHARD_RECEIVE_BUFFERS,
        .receive_buffer_bytes = SHARD_RECEIVE_BUFFER_BYTES,
        .sends_per_turn = SENDS_PER_TURN,
        .busy_poll = relay_spins(relay_options, index + 1),
        .zerocopy = relay_options->zerocopy,
        .descriptors = relay_options->descriptors,
    };
    int error;

    shard_engine_options(relay->shards[index].shard, &options);
    error = create_engine_of_shard(relay, index, &options);
    if (error != 0)
        return error;
    relay->shard_wakers[index] = engine_waker(relay->shard_engines[index]);
    error = shard_attach(relay->shards[index].shard, relay->shard_engines[index]);
    return error == 0 ? 0 : relay_fail(error, "a shard");
}

static int create_shards(struct relay *relay)
{
    int error = 0;

    for (unsigned i = 0; i < relay->options.shards && error == 0; i++) {
        error = create_shard(relay, i);
        if (error == 0)
            error = create_shard_engine(relay, i);
    }
    return error;
}

static void init_admission(struct relay *relay)
{
    struct admission *admission = relay->options.admission;

    for (unsigned i = 0; i < relay->options.shards; i++)
        admission_queue_init(&relay->answers[i]);
    if (!admission)
        return;
    admission->answers = relay->answers;
    admission->shard_wakers = relay->shard_wakers;
    admission->shards = relay->options.shards;
}

/* All shards listen on one port. If the port is 0, the first shard gets one from the kernel, which the others take. */
static int listen_on_all(struct relay *relay)
{
    const struct engine_listen_options options = {.backlog = LISTEN_BACKLOG,
                                                  .notsent_lowat_bytes = relay->options.notsent_lowat_bytes};
    struct address address = relay->options.listen;
    char text[ADDRESS_TEXT_BYTES];
    int error = address.port != 0 ? relay->engines.kind->check_address_is_free(relay->engines.shared, &address) : 0;

    for (unsigned i = 0; i < relay->options.shards && error == 0; i++) {
        error = engine_listen(relay->shard_engines[i], &address, &options);
        address.port = engine_listen_port(relay->shard_engines[i]);
    }
    if (error != 0)
        log_line(LOG_ERROR, "relay", "cannot listen on %s: %s", address_format(&relay->options.listen, text), strerror(-error));
    return error;
}

static int create_arrays(struct relay *relay)
{
    unsigned shards = relay->options.shards;
    void *answers;

    relay->shards = calloc(shards, sizeof *relay->shards);
    relay->shard_engines = calloc(shards, sizeof *relay->shard_engines);
    relay->shard_wakers = calloc(shards, sizeof *relay->shard_wakers);
    relay->threads = calloc(shards + 2, sizeof *relay->threads);
    if (posix_memalign(&answers, _Alignof(struct admission_queue), shards * sizeof(struct admission_queue)) == 0)
        relay->answers = answers;
    if (!relay->shards || !relay->shard_engines || !relay->shard_wakers || !relay->threads || !relay->answers)
        return relay_fail(-ENOMEM, "the relay");
    init_admission(relay);
    return 0;
}

/* Says why there is no engine: to the caller where it asks for that, else in the log. */
static void explain_refusal(const struct relay *relay, const struct engine_choice *choice)
{
    const struct relay_options *options = &relay->options;

    if (options->refusal)
        snprintf(options->refusal, options->refusal_bytes, "no engine: %s", choice->reason);
    else
        log_line(LOG_ERROR, "relay", "no engine: %s", choice->reason);
}

static int choose(const struct relay *relay, struct engine_choice *choice, const char *name, unsigned engines)
{
    const struct relay_options *options = &relay->options;
    const struct engine_kind_options kind_options = {
        .engines = engines, .channel_bytes = options->log_memory_bytes, .dpdk = options->dpdk};
    int error = engine_choose(choice, name, &kind_options);

    if (error == -ENOENT && !engine_kind_find(name))
        log_line(LOG_ERROR, "relay", "there is no engine called %s", name);
    else if (error != 0)
        explain_refusal(relay, choice);
    return error;
}

/* Chooses the kind of engines, and opens it for one engine per shard and one for the ingest, or another kind for that. */
static int choose_engines(struct relay *relay)
{
    const struct relay_options *options = &relay->options;
    const struct engine_kind *kind = engine_kind_find(options->engine);
    int error;

    if (!kind || !kind->only_accepts)
        return choose(relay, &relay->engines, options->engine, 1 + options->shards);
    error = choose(relay, &relay->engines, options->engine, options->shards);
    return error == 0 ? choose(relay, &relay->ingest_engines, "auto", 1) : error;
}

static int create_loops_of_kind(struct relay *relay)
{
    int error = create_ingest(relay);

    if (error == 0)
        error = create_encoder(relay);
    return error == 0 ? create_shards(relay) : error;
}

/*
 * Creates ingest, encoder and shards with their engines. Only the creation of all engines shows whether the system allows that many of the
 * kind, because their rings may share one limit of locked memory. If it does not, all are created anew on engines of the next kind.
 */
static int create_loops(struct relay *relay)
{
    int error;

    do {
        error = create_loops_of_kind(relay);
        if (error == 0 || relay->engine_error == 0)
            return error;
        relay_destroy_loops(relay);
    } while (engine_choice_next(&relay->engines, error) == 0);
    log_line(LOG_ERROR, "relay", "no engine: %s", *relay->engines.reason ? relay->engines.reason : relay->ingest_engines.reason);
    return error;
}

int relay_create_parts(struct relay *relay)
{
    int error = create_arrays(relay);

    if (error == 0)
        error = choose_engines(relay);
    if (error == 0)
        error = create_channels(relay);
    if (error == 0)
        error = create_loops(relay);
    return error == 0 ? listen_on_all(relay) : error;
}
