#include "support/shard_world.h"

#include "flashrelay/log.h"
#include "support/channels.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void create_shard(struct shard_world *world, struct shard_options options, uint32_t sends_per_turn)
{
    struct engine_options engine_options = {
        .receive_buffers = 16, .receive_buffer_bytes = 2048, .sends_per_turn = sends_per_turn};
    const struct engine_listen_options listen = {.backlog = SHARD_WORLD_CLIENTS};
    struct ip_address ip = ip_of("10.0.0.1");
    struct address address = {.ip = ip, .port = SHARD_WORLD_PORT};

    options.channels[0] = (struct shard_channel){.channel = world->channel, .marks = world->marks};
    options.channel_count = 1;
    if (options.max_subscribers == 0)
        options.max_subscribers = SHARD_WORLD_CLIENTS;
    assert_int_equal(shard_create(&world->shard, &options), 0);
    shard_engine_options(world->shard, &engine_options);
    assert_int_equal(engine_sim_create(&world->engine, &engine_options, world->network, &ip), 0);
    world->waker = engine_waker(world->engine);
    assert_int_equal(shard_attach(world->shard, world->engine), 0);
    assert_int_equal(engine_listen(world->engine, &address, &listen), 0);
}

struct shard_world *shard_world_open(struct shard_world_options options)
{
    struct shard_world *world = calloc(1, sizeof *world);
    const struct sim_network_options network = {
        .seed = 7,
        .delay_min_ns = NS_PER_MS / 10,
        .delay_max_ns = options.jitter ? NS_PER_MS / 5 : NS_PER_MS / 10,
        .segment_max_bytes = 1460,
        .window_bytes = options.window_bytes ? options.window_bytes : SHARD_WORLD_WINDOW_BYTES,
        .short_send_permille = options.short_send_permille,
        .late_send_permille = options.late_send_permille,
        .zerocopy_permille = options.zerocopy_permille,
    };

    log_configure(LOG_WARN, LOG_TEXT, STDERR_FILENO); /* no line for each of thousands of connections */
    assert_int_equal(sim_network_create(&world->network, &network), 0);
    mock_clients_open(world);
    world->marks = aligned_alloc(_Alignof(struct channel_marks), sizeof *world->marks);
    world->channel = make_channel(world->marks, 1, options.arena_bytes ? options.arena_bytes : 1 << 20, SHARD_WORLD_ENTRIES);
    admission_queue_init(&world->admission.requests);
    admission_queue_init(&world->answers);
    world->admission.answers = &world->answers;
    world->admission.shard_wakers = &world->waker;
    world->admission.shards = 1;
    world->admission.control_event = -1;
    if (options.with_admission)
        options.shard.admission = &world->admission;
    create_shard(world, options.shard, options.sends_per_turn ? options.sends_per_turn : 256);
    return world;
}

void shard_world_close(struct shard_world *world)
{
    engine_destroy(world->engine);
    shard_destroy(world->shard);
    engine_destroy(world->outside);
    sim_network_destroy(world->network);
    channel_destroy(world->channel);
    free(world->marks);
    free(world);
}

/* --- letting time pass --- */

static void take_control_turn(struct shard_world *world)
{
    struct admission_request *request, *next;

    if (world->admission_is_silent)
        return;
    for (request = admission_queue_take(&world->admission.requests); request; request = next) {
        next = request->next;
        world->last_ip = request->ip;
        world->last_app = request->app;
        if (request->kind == ADMISSION_ENTER)
            request->verdict = (uint8_t)world->verdict;
        if (request->kind == ADMISSION_LEAVE)
            world->places--;
        else
            world->places += world->verdict == ADMISSION_ADMITTED;
        admission_answer(&world->admission, request);
    }
}

void shard_world_settle(struct shard_world *world)
{
    do {
        shard_turn(world->shard, 0);
        engine_turn(world->outside, 0);
        take_control_turn(world);
    } while (engine_sim_is_due(world->engine) || engine_sim_is_due(world->outside) ||
             shard_next_deadline(world->shard) <= sim_network_now(world->network));
}

void shard_world_run(struct shard_world *world, uint64_t duration_ns)
{
    uint64_t end_ns = sim_network_now(world->network) + duration_ns;

    for (;;) {
        uint64_t next_ns, shard_ns;

        shard_world_settle(world);
        next_ns = sim_network_next_event(world->network);
        shard_ns = shard_next_deadline(world->shard);
        next_ns = shard_ns < next_ns ? shard_ns : next_ns;
        if (next_ns > end_ns)
            break;
        sim_network_advance(world->network, next_ns);
    }
    sim_network_advance(world->network, end_ns);
    shard_world_settle(world);
}

/* --- publishing and counters --- */

uint8_t shard_world_byte(uint64_t sequence, uint64_t offset)
{
    return (uint8_t)(sequence * 31 + offset * 7);
}

int shard_world_try_publish(struct shard_world *world, uint32_t size)
{
    uint8_t *payload = malloc(size + 1);
    int error;

    for (uint32_t i = 0; i < size; i++)
        payload[i] = shard_world_byte(world->sequence + 1, i);
    error = channel_append(world->channel, world->sequence + 1, WS_BINARY, payload, size, sim_network_now(world->network));
    free(payload);
    if (error == 0)
        world->sizes[++world->sequence] = size;
    return error;
}

void shard_world_publish(struct shard_world *world, uint32_t size)
{
    assert_int_equal(shard_world_try_publish(world, size), 0);
}

const struct shard_counters *shard_world_counters(const struct shard_world *world)
{
    return shard_counters_get(world->shard);
}

uint64_t shard_world_disconnects(const struct shard_world *world, enum disconnect_cause cause)
{
    return counter_read(&shard_world_counters(world)->disconnects[cause]);
}
