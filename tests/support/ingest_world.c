#include "support/ingest_world.h"

#include "support/channels.h"
#include "support/ip.h"
#include "support/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_default(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static struct ingest_options ingest_options(struct ingest_world *world, const struct ingest_world_options *options)
{
    struct ingest_options ingest = options->ingest;

    ingest.upstreams = world->uris;
    ingest.upstream_count = options->builders;
    ingest.channel = world->channel;
    set_default(&ingest.max_message_bytes, 64 << 10);
    set_default(&ingest.max_backoff_ns, 20 * NS_PER_S);
    set_default(&ingest.ping_interval_ns, 2 * NS_PER_S);
    set_default(&ingest.pong_timeout_ns, 4 * NS_PER_S);
    return ingest;
}

static void open_network(struct ingest_world *world, const struct ingest_world_options *options)
{
    struct sim_network_options network = options->network;

    set_default(&network.delay_max_ns, NS_PER_MS);
    if (network.segment_max_bytes == 0)
        network.segment_max_bytes = 1400;
    if (network.window_bytes == 0)
        network.window_bytes = 32 << 10;
    must(sim_network_create(&world->network, &network) == 0);
    world->builder_count = options->builders;
    for (unsigned i = 0; i < options->builders; i++)
        mock_builder_init(&world->builders[i], world->network, i, !options->listeners_missing);
}

struct ingest_world *ingest_world_open(const struct ingest_world_options *options)
{
    struct ingest_world *world = aligned_alloc(_Alignof(struct ingest_world), sizeof *world);
    struct engine_options engine = {.max_connections = 0};
    struct ingest_options ingest;
    struct ip_address ip = ip_of("10.0.1.1");
    const char *error;

    memset(world, 0, sizeof *world);
    world->channel = make_channel(&world->marks, 1, options->arena_bytes ? options->arena_bytes : 1 << 20, 4096);
    world->read_next = channel_reader_join(world->channel, 0);
    open_network(world, options);
    for (unsigned i = 0; i < options->builders; i++) {
        char text[64];

        snprintf(text, sizeof text, "ws://10.0.0.%u:%d", i + 1, MOCK_BUILDER_PORT);
        must(ws_uri_parse(&world->uris[i], options->uris[i] ? options->uris[i] : text, &error) == 0);
    }
    ingest = ingest_options(world, options);
    must(ingest_create(&world->ingest, &ingest) == 0);
    ingest_engine_options(world->ingest, &engine);
    must(engine_sim_create(&world->engine, &engine, world->network, &ip) == 0);
    ingest_attach(world->ingest, world->engine);
    return world;
}

void ingest_world_close(struct ingest_world *world)
{
    engine_destroy(world->engine);
    ingest_destroy(world->ingest);
    for (unsigned i = 0; i < world->builder_count; i++) {
        mock_builder_dispose(&world->builders[i]);
        ws_uri_dispose(&world->uris[i]);
    }
    sim_network_destroy(world->network);
    channel_destroy(world->channel);
    for (size_t i = 0; i < world->published_count; i++)
        free(world->published[i].bytes);
    free(world->published);
    free(world);
}

static void keep(struct ingest_world *world, const struct channel_frame *frame)
{
    struct published_message *published;

    world->published = realloc(world->published, (world->published_count + 1) * sizeof *world->published);
    published = &world->published[world->published_count++];
    published->length = frame->length - frame->header_length;
    published->bytes = malloc(published->length + 1);
    memcpy(published->bytes, frame->bytes + frame->header_length, published->length);
    published->bytes[published->length] = 0;
    must(frame->bytes[0] == (0x80 | WS_BINARY));
}

void ingest_world_read_log(struct ingest_world *world)
{
    if (world->log_held)
        return;
    for (; world->read_next <= channel_head(world->channel); world->read_next++) {
        struct channel_frame frame;

        channel_frame_get(world->channel, world->read_next, &frame);
        keep(world, &frame);
    }
    channel_mark_set(&world->marks, 0, world->read_next);
    if (channel_is_waiting(world->channel))
        waker_wake(engine_waker(world->engine), NULL);
}

/* Runs one turn of the ingest and of each builder that has something to do. False if none had. */
static bool turn(struct ingest_world *world)
{
    bool busy = !waker_is_sleeping(engine_waker(world->engine)) || engine_sim_is_due(world->engine) ||
                sim_network_now(world->network) >= ingest_next_deadline(world->ingest);

    if (busy)
        ingest_turn(world->ingest, CLOCK_NEVER);
    for (unsigned i = 0; i < world->builder_count; i++)
        if (engine_sim_is_due(world->builders[i].engine)) {
            engine_turn(world->builders[i].engine, 0);
            busy = true;
        }
    ingest_world_read_log(world);
    return busy;
}

void ingest_world_run(struct ingest_world *world, uint64_t ns)
{
    uint64_t end = sim_network_now(world->network) + ns;

    for (;;) {
        uint64_t next, deadline;

        if (turn(world))
            continue;
        next = sim_network_next_event(world->network);
        deadline = ingest_next_deadline(world->ingest);
        next = deadline < next ? deadline : next;
        if (next > end)
            break;
        sim_network_advance(world->network, next);
    }
    sim_network_advance(world->network, end);
}

const struct upstream_counters *ingest_world_counters(const struct ingest_world *world, unsigned builder)
{
    return ingest_upstream_counters(world->ingest, builder);
}
