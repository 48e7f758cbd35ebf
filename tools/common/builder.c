#include "common/builder.h"

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_kind.h"
#include "flashrelay/random.h"
#include "flashrelay/shard.h"

#include <errno.h>
#include <stdlib.h>

#define LOG_MESSAGES   8 /* messages of the largest size that the log holds at least */
#define LOG_MIN_BYTES  (32u << 20)
#define LOG_ENTRIES    4096
#define LISTEN_BACKLOG 64
#define SENDS_PER_TURN 64
/* How many turns builder_publish makes at most to cut off relays that lag behind, if the log has no room. */
#define ROOM_TURNS 3

struct builder {
    struct channel_marks marks;
    struct channel *channel;
    struct shard *shard;
    struct engine_choice engines;
    struct engine *engine;
    uint64_t sequence;
};

static int make_channel(struct builder *builder, size_t max_message_bytes)
{
    struct channel_options options = {
        .name = "builder",
        .arena_bytes = LOG_MESSAGES * max_message_bytes,
        .entries = LOG_ENTRIES,
        .marks = &builder->marks,
    };

    if (options.arena_bytes < LOG_MIN_BYTES)
        options.arena_bytes = LOG_MIN_BYTES;
    channel_marks_init(&builder->marks, 1);
    return channel_create(&builder->channel, &options);
}

static int make_shard(struct builder *builder, uint32_t max_relays)
{
    struct shard_options options = {
        .channels = {{.channel = builder->channel, .marks = &builder->marks}},
        .channel_count = 1,
        .any_path = true,
        .max_subscribers = max_relays + SHARD_MAX_HANDSHAKES,
        .seed = random_system_seed(),
    };

    return shard_create(&builder->shard, &options);
}

static int make_engine(struct builder *builder, const struct address *listen)
{
    struct engine_options options = {
        .receive_buffers = 64,
        .receive_buffer_bytes = 4096,
        .sends_per_turn = SENDS_PER_TURN,
        .zerocopy = ENGINE_ZEROCOPY_OFF,
    };
    struct engine_listen_options listening = {.backlog = LISTEN_BACKLOG};
    struct engine_choice *engines = &builder->engines;
    int result = engine_choose(engines, "auto", &(struct engine_kind_options){.engines = 1});

    shard_engine_options(builder->shard, &options);
    if (result == 0)
        result = engines->kind->check_address_is_free(engines->shared, listen);
    if (result == 0)
        result = engine_choice_create_one(engines, &builder->engine, &options);
    if (result == 0)
        result = shard_attach(builder->shard, builder->engine);
    return result == 0 ? engine_listen(builder->engine, listen, &listening) : result;
}

int builder_create(struct builder **out, const struct builder_options *options)
{
    struct builder *builder = aligned_alloc(_Alignof(struct builder), sizeof *builder);
    int result;

    if (!builder)
        return -ENOMEM;
    *builder = (struct builder){0};
    result = make_channel(builder, options->max_message_bytes);
    if (result == 0)
        result = make_shard(builder, options->max_relays);
    if (result == 0)
        result = make_engine(builder, &options->listen);
    if (result != 0)
        builder_destroy(builder);
    else
        *out = builder;
    return result;
}

void builder_destroy(struct builder *builder)
{
    if (!builder)
        return;
    engine_destroy(builder->engine);
    engine_choice_close(&builder->engines);
    if (builder->shard)
        shard_destroy(builder->shard);
    if (builder->channel)
        channel_destroy(builder->channel);
    free(builder);
}

uint16_t builder_port(const struct builder *builder)
{
    return engine_listen_port(builder->engine);
}

int builder_publish(struct builder *builder, uint8_t opcode, const void *bytes, size_t length)
{
    uint64_t now_ns = clock_monotonic_ns();
    int result = channel_append(builder->channel, builder->sequence + 1, opcode, bytes, length, now_ns);

    for (int i = 0; result == -ENOSPC && i < ROOM_TURNS; i++) {
        shard_turn(builder->shard, 0); /* cuts off relays below the floor that the append raised */
        result = channel_append(builder->channel, builder->sequence + 1, opcode, bytes, length, now_ns);
    }
    if (result == 0)
        builder->sequence++;
    return result;
}

void builder_turn(struct builder *builder, uint64_t deadline_ns)
{
    shard_turn(builder->shard, deadline_ns);
}

uint32_t builder_relays(const struct builder *builder)
{
    return (uint32_t)counter_read(&shard_counters_get(builder->shard)->active_connections);
}

bool builder_is_idle(const struct builder *builder)
{
    return atomic_load_explicit(&builder->marks.marks[0].sequence, memory_order_relaxed) > builder->sequence;
}

void builder_drain(struct builder *builder)
{
    shard_drain(builder->shard);
}

bool builder_is_drained(const struct builder *builder)
{
    return shard_is_drained(builder->shard);
}
