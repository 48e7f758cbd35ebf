/* The data plane under test, wired as the relay wires it, on simulated engines; its threads are turned by the world. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

enum { THREAD_INGEST, THREAD_CONTROL, THREAD_ENCODER, THREAD_SHARDS };

static const struct ip_address relay_ip = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}};

static void must(int error)
{
    if (error != 0)
        abort();
}

/* --- putting it together --- */

static struct channel *create_channel(const struct plan *plan, const char *name, struct channel_marks *marks)
{
    struct channel_options options = {.name = name, .arena_bytes = plan->arena_bytes, .entries = plan->entries, .marks = marks};
    struct channel *channel;

    must(channel_create(&channel, &options));
    return channel;
}

static void create_channels(struct sim_world *world)
{
    struct plane *plane = &world->plane;

    channel_marks_init(&plane->target_marks, world->plan.shards);
    plane->target = create_channel(&world->plan, world->plan.compress ? brotli_encoding.name : "json", &plane->target_marks);
    plane->source = plane->target;
    if (world->plan.compress) {
        channel_marks_init(&plane->source_marks, 1);
        plane->source = create_channel(&world->plan, "json", &plane->source_marks);
    }
    world->source.channel = plane->source;
    world->target.channel = plane->target;
}

static void create_ingest(struct sim_world *world)
{
    const struct plan *plan = &world->plan;
    struct plane *plane = &world->plane;
    struct engine_options engine_options = {0};
    struct ingest_options options = {.upstreams = plane->upstreams,
                                     .upstream_count = plan->builders,
                                     .channel = plane->source,
                                     .decompress = !plan->compress,
                                     .wakers = plane->ingest_wakes,
                                     .waker_count = plan->compress ? 1 : plan->shards,
                                     .max_message_bytes = plan->max_message_bytes,
                                     .max_backoff_ns = NS_PER_S,
                                     .ping_interval_ns = plan->ping_interval_ns,
                                     .pong_timeout_ns = plan->pong_timeout_ns,
                                     .seed = random_next(&world->random),
                                     .secret = random_next(&world->random)};

    for (unsigned i = 0; i < plan->builders; i++) {
        char text[64] = "ws://10.1.0.1:1111/ws";
        const char *error;
        text[12] = (char)('1' + i);
        must(ws_uri_parse(&plane->upstreams[i], text, &error));
    }
    must(ingest_create(&plane->ingest, &options));
    ingest_engine_options(plane->ingest, &engine_options);
    must(engine_sim_create(&plane->ingest_engine, &engine_options, world->network, &relay_ip));
    ingest_attach(plane->ingest, plane->ingest_engine);
}

static void create_encoder(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    struct encoder_options options = {.encoding = &brotli_encoding,
                                      .source = plane->source,
                                      .target = plane->target,
                                      .marks = &plane->source_marks,
                                      .wakers = plane->encoder_wakes,
                                      .waker_count = world->plan.shards,
                                      .publisher = engine_waker(plane->ingest_engine),
                                      .max_message_bytes = world->plan.max_message_bytes};

    must(encoder_create(&plane->encoder, &options));
}

static void create_shard(struct sim_world *world, unsigned index)
{
    const struct plan *plan = &world->plan;
    struct plane *plane = &world->plane;
    struct shard_options options = {
        .index = index,
        .channels = {{.channel = plane->target,
                      .marks = &plane->target_marks,
                      .reader = index,
                      .publisher = plan->compress ? encoder_waker(plane->encoder) : engine_waker(plane->ingest_engine)}},
        .channel_count = 1,
        .admission = &plane->admission,
        .max_subscribers = plan->instance_limit + 8,
        .message_buffer_size = plan->message_buffer_size,
        .client_send_timeout_ns = plan->send_timeout_ns,
        .client_ping = plan->client_ping,
        .client_ping_interval_ns = plan->ping_interval_ns,
        .client_pong_timeout_ns = plan->pong_timeout_ns,
        .seed = random_next(&world->random)};
    struct engine_options engine_options = {
        .receive_buffers = 16, .receive_buffer_bytes = 4096, .sends_per_turn = plan->sends_per_turn};
    struct address address = {.port = RELAY_PORT};

    must(shard_create(&plane->shards[index], &options));
    shard_engine_options(plane->shards[index], &engine_options);
    witness_place(&plane->witnesses[index], world, &engine_options);
    must(engine_sim_create(&plane->shard_engines[index], &engine_options, world->network, &relay_ip));
    must(engine_listen(plane->shard_engines[index], &address, &(struct engine_listen_options){.backlog = 16}));
    plane->shard_wakers[index] = engine_waker(plane->shard_engines[index]);
    must(shard_attach(plane->shards[index], plane->shard_engines[index]));
}

static void create_admission(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    struct limits_options options = {
        .instance_limit = world->plan.instance_limit, .ip_limit = world->plan.ip_limit, .seed = random_next(&world->random)};

    must(limits_create(&plane->limits, &options));
    admission_queue_init(&plane->admission.requests);
    for (unsigned i = 0; i < world->plan.shards; i++)
        admission_queue_init(&plane->answers[i]);
    plane->admission.answers = plane->answers;
    plane->admission.shard_wakers = plane->shard_wakers;
    plane->admission.shards = world->plan.shards;
    plane->admission.control_event = -1;
}

void plane_create(struct sim_world *world)
{
    struct plane *plane = &world->plane;

    create_channels(world);
    create_admission(world);
    create_ingest(world);
    if (world->plan.compress)
        create_encoder(world);
    for (unsigned i = 0; i < world->plan.shards; i++)
        create_shard(world, i);
    if (world->plan.compress)
        plane->ingest_wakes[0] = encoder_waker(plane->encoder);
    for (unsigned i = 0; i < world->plan.shards; i++)
        (world->plan.compress ? plane->encoder_wakes : plane->ingest_wakes)[i] = plane->shard_wakers[i];
}

void plane_destroy(struct sim_world *world)
{
    struct plane *plane = &world->plane;

    for (unsigned i = 0; i < world->plan.shards; i++) {
        engine_destroy(plane->shard_engines[i]);
        shard_destroy(plane->shards[i]);
    }
    engine_destroy(plane->ingest_engine);
    ingest_destroy(plane->ingest);
    encoder_destroy(plane->encoder);
    limits_destroy(plane->limits);
    channel_destroy(plane->target);
    if (plane->source != plane->target)
        channel_destroy(plane->source);
    for (unsigned i = 0; i < world->plan.builders; i++)
        ws_uri_dispose(&plane->upstreams[i]);
}

/* --- its threads --- */

unsigned plane_threads(const struct sim_world *world)
{
    return THREAD_SHARDS + world->plan.shards;
}

const char *plane_thread_name(unsigned thread)
{
    static const char *const names[] = {"ingest", "control", "encoder", "shard 0", "shard 1", "shard 2"};

    return names[thread];
}

/* Awake, or woken, or something happened that its engine waits for. */
static bool engine_is_runnable(const struct engine *engine)
{
    return !waker_is_sleeping(&engine->waker) || engine_sim_is_due(engine);
}

bool plane_thread_is_runnable(const struct sim_world *world, unsigned thread)
{
    const struct plane *plane = &world->plane;

    switch (thread) {
    case THREAD_INGEST:
        return engine_is_runnable(plane->ingest_engine);
    case THREAD_CONTROL:
        return !admission_queue_is_empty(&plane->admission.requests);
    case THREAD_ENCODER:
        return plane->encoder && !waker_is_sleeping(encoder_waker(plane->encoder));
    default:
        return engine_is_runnable(plane->shard_engines[thread - THREAD_SHARDS]);
    }
}

uint64_t plane_thread_deadline(const struct sim_world *world, unsigned thread)
{
    const struct plane *plane = &world->plane;

    if (thread == THREAD_INGEST)
        return ingest_next_deadline(plane->ingest);
    if (thread < THREAD_SHARDS)
        return CLOCK_NEVER;
    return shard_next_deadline(plane->shards[thread - THREAD_SHARDS]);
}

static void turn_control(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    struct admission_request *next;

    for (struct admission_request *request = admission_queue_take(&plane->admission.requests); request; request = next) {
        next = request->next;
        if (request->kind == ADMISSION_ENTER)
            request->verdict = (uint8_t)limits_enter(plane->limits, NULL, &request->ip, request->app);
        else
            limits_leave(plane->limits, &request->ip, request->app);
        admission_answer(&plane->admission, request);
    }
}

static uint64_t tell_time(void *context)
{
    return sim_world_now(context);
}

/* As its thread does: announces its sleep, looks once more, and goes on if there was something. */
static void turn_encoder(struct sim_world *world)
{
    struct waker *waker = encoder_waker(world->plane.encoder);

    waker_prepare_sleep(waker);
    if (encoder_turn(world->plane.encoder, tell_time, world))
        waker_end_sleep(waker);
}

void plane_thread_turn(struct sim_world *world, unsigned thread)
{
    switch (thread) {
    case THREAD_INGEST:
        ingest_turn(world->plane.ingest, CLOCK_NEVER);
        break;
    case THREAD_CONTROL:
        turn_control(world);
        break;
    case THREAD_ENCODER:
        turn_encoder(world);
        break;
    default:
        shard_turn(world->plane.shards[thread - THREAD_SHARDS], CLOCK_NEVER);
    }
}

void plane_note_look(const struct sim_thread *thread, uint64_t told_ns)
{
    if (thread->index >= THREAD_SHARDS)
        thread->world->plane.looked_ns[thread->index - THREAD_SHARDS] = told_ns;
}
