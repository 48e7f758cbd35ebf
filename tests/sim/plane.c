/* The data plane under test, wired as the relay wires it, on simulated engines. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

static const struct ip_address relay_ip = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}};

static void must(int error)
{
    if (error != 0)
        abort();
}

/* --- the log --- */

bool plane_selects(uint16_t selection, size_t payload_bytes)
{
    return payload_bytes % (selection + 1u) == 0;
}

static bool is_selected(const void *context, const struct channel_frame *frame)
{
    const uint16_t *number = context;

    return plane_selects(*number, frame->length - frame->header_length);
}

static struct channel *create_channel(struct sim_world *world, const char *name, struct channel_marks *marks)
{
    static const uint16_t numbers[MAX_SELECTIONS] = {1, 2, 3};
    const struct plan *plan = &world->plan;
    struct channel_options options = {.name = name,
                                      .arena_bytes = plan->arena_bytes,
                                      .entries = plan->entries,
                                      .selections = plan->access.selections,
                                      .marks = marks};
    struct channel *channel;

    must(channel_create(&channel, &options));
    for (uint16_t i = 0; i < plan->access.selections; i++) {
        selection_init(&world->plane.selections[i], UINT64_MAX, is_selected, &numbers[i]); /* no frame is ever noted */
        channel_set_selection(channel, i + 1, &world->plane.selections[i]);
    }
    return channel;
}

static void create_channels(struct sim_world *world)
{
    struct plane *plane = &world->plane;

    channel_marks_init(&plane->target_marks, world->plan.shards);
    plane->target = create_channel(world, world->plan.compress ? brotli_encoding.name : "json", &plane->target_marks);
    plane->source = plane->target;
    if (world->plan.compress) {
        channel_marks_init(&plane->source_marks, 1 + world->plan.shards);
        plane->source = create_channel(world, "json", &plane->source_marks);
    }
    world->source.channel = plane->source;
    world->target.channel = plane->target;
}

/* Called once the publishers of the channels exist. */
static void choose_followed(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    struct waker *ingest = engine_waker(plane->ingest_engine);
    bool compress = world->plan.compress;

    plane->followed[0] = (struct followed){.channel = plane->target,
                                           .marks = &plane->target_marks,
                                           .publisher = compress ? encoder_waker(plane->encoder) : ingest,
                                           .record = compress ? &world->target : &world->source};
    plane->followed[1] = (struct followed){.channel = plane->source,
                                           .marks = &plane->source_marks,
                                           .first_reader = 1,
                                           .publisher = ingest,
                                           .record = &world->source};
    plane->followed_count = world->plan.access.has_both_channels ? 2 : 1;
}

/* --- ingest, encoder and shards --- */

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
                                     .waker_count = (plan->compress ? 1 : 0) +
                                                    (plan->compress && !plan->access.has_both_channels ? 0 : plan->shards),
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

static void name_channels(const struct plane *plane, struct shard_options *options)
{
    options->channel_count = plane->followed_count;
    for (unsigned i = 0; i < plane->followed_count; i++)
        options->channels[i] = (struct shard_channel){.channel = plane->followed[i].channel,
                                                      .marks = plane->followed[i].marks,
                                                      .reader = plane->followed[i].first_reader + options->index,
                                                      .publisher = plane->followed[i].publisher};
}

static void create_shard(struct sim_world *world, unsigned index)
{
    const struct plan *plan = &world->plan;
    struct plane *plane = &world->plane;
    struct shard_options options = {.index = index,
                                    .admission = &plane->admission,
                                    .access = &plane->access,
                                    .ip_header = plan->access.is_forwarded ? FORWARDED_FOR : NULL,
                                    .max_subscribers = plan->access.instance_limit + 8,
                                    .message_buffer_size = plan->message_buffer_size,
                                    .client_send_timeout_ns = plan->send_timeout_ns,
                                    .client_ping = plan->client_ping,
                                    .client_ping_interval_ns = plan->ping_interval_ns,
                                    .client_pong_timeout_ns = plan->pong_timeout_ns,
                                    .seed = random_next(&world->random)};
    struct engine_options engine_options = {
        .receive_buffers = 16, .receive_buffer_bytes = 4096, .sends_per_turn = plan->sends_per_turn};
    struct address address = {.port = RELAY_PORT};

    if (plan->access.descriptors > 0)
        engine_options.descriptors = &plane->descriptors;
    name_channels(plane, &options);
    must(shard_create(&plane->shards[index], &options));
    shard_engine_options(plane->shards[index], &engine_options);
    witness_place(&plane->witnesses[index], world, &engine_options);
    must(engine_sim_create(&plane->shard_engines[index], &engine_options, world->network, &relay_ip));
    must(engine_listen(plane->shard_engines[index], &address, &(struct engine_listen_options){.backlog = 16}));
    plane->shard_wakers[index] = engine_waker(plane->shard_engines[index]);
    must(shard_attach(plane->shards[index], plane->shard_engines[index]));
}

/* --- access --- */

static void publish_keys(struct sim_world *world)
{
    const struct access_plan *plan = &world->plan.access;
    struct access_app apps[MAX_APPS];
    struct access_table *table;

    must(snapshot_group_create(&world->plane.snapshots, 0));
    if (plan->apps == 0)
        return;
    for (unsigned i = 0; i < plan->apps; i++)
        apps[i] = (struct access_app){.name = "app", .key = (char *)request_key(i), .connection_limit = plan->app_limit};
    must(access_table_create(&table, apps, plan->apps, plan->is_public));
    must(access_table_publish(world->plane.snapshots, &world->plane.access, table, plan->apps));
}

static void create_admission(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    struct limits_options options = {.instance_limit = world->plan.access.instance_limit,
                                     .ip_limit = world->plan.access.ip_limit,
                                     .apps = world->plan.access.apps,
                                     .seed = random_next(&world->random)};

    must(limits_create(&plane->limits, &options));
    admission_queue_init(&plane->admission.requests);
    for (unsigned i = 0; i < world->plan.shards; i++)
        admission_queue_init(&plane->answers[i]);
    plane->admission.answers = plane->answers;
    plane->admission.shard_wakers = plane->shard_wakers;
    plane->admission.shards = world->plan.shards;
    plane->admission.control_event = -1;
}

/* --- life --- */

static void name_wakers(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    unsigned ingest_wakes = 0;

    if (world->plan.compress)
        plane->ingest_wakes[ingest_wakes++] = encoder_waker(plane->encoder);
    for (unsigned i = 0; i < world->plan.shards; i++) {
        if (world->plan.compress)
            plane->encoder_wakes[i] = plane->shard_wakers[i];
        if (!world->plan.compress || world->plan.access.has_both_channels)
            plane->ingest_wakes[ingest_wakes++] = plane->shard_wakers[i];
    }
}

void plane_create(struct sim_world *world)
{
    create_channels(world);
    publish_keys(world);
    create_admission(world);
    create_ingest(world);
    if (world->plan.compress)
        create_encoder(world);
    choose_followed(world);
    atomic_init(&world->plane.descriptors.left, world->plan.access.descriptors);
    world->plane.descriptors.short_below = world->plan.access.descriptors / 4;
    for (unsigned i = 0; i < world->plan.shards; i++)
        create_shard(world, i);
    name_wakers(world);
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
    snapshot_publish(plane->snapshots, &plane->access, NULL);
    snapshot_group_destroy(plane->snapshots);
    channel_destroy(plane->target);
    if (plane->source != plane->target)
        channel_destroy(plane->source);
    for (unsigned i = 0; i < world->plan.builders; i++)
        ws_uri_dispose(&plane->upstreams[i]);
}
