#include "bypass_floor/floor.h"

#include "population/huge_memory.h"

#include <rte_lcore.h>
#include <rte_mempool.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MBUFS         8191 /* of each pool: a full ring, and what caches keep */
#define MBUF_CACHE    512
#define HEADER_ROOM   384
#define CLIENT_WINDOW (UINT32_C(4) << 20)
#define CLIENT_SCALE  7
#define FIRST_CWND    (UINT32_C(2) << 20)

/* How long the loop sleeps when nothing is left to do: arrivals gather meanwhile. */
#define NAP_NS (50 * NS_PER_US)

/* --- life --- */

static uint64_t read_clock(void *context)
{
    return floor_clock(context);
}

static struct rte_mempool *create_pool(const char *name, uint16_t room)
{
    return rte_pktmbuf_pool_create(name, MBUFS, MBUF_CACHE, 0, room, (int)rte_socket_id());
}

static int create_population(struct floor *floor)
{
    const struct population_options options = {
        .clients = floor->options.subscribers,
        .seed = floor->options.seed,
        .rtt_ns = floor->options.rtt_ns,
        .acks = floor->options.acks,
        .window_bytes = CLIENT_WINDOW,
        .mss = (uint16_t)floor->options.mss,
        .server_ip = SERVER_IP,
        .server_port = SERVER_PORT,
        .server_mac = {2, 0, 0, 0, 0, 2},
        .now = read_clock,
        .context = floor,
    };
    int error = population_create(&floor->population, &options);

    if (error != 0)
        return error;
    floor->port = population_burst(floor->population);
    population_establish(floor->population);
    return 0;
}

static int allocate(struct floor *floor)
{
    const uint32_t subscribers = floor->options.subscribers;

    floor->queue_mask = 63;
    while (floor->queue_mask < subscribers)
        floor->queue_mask = floor->queue_mask * 2 + 1;
    floor->connections = huge_memory_map(subscribers * sizeof *floor->connections);
    floor->subscribers = huge_memory_map(subscribers * sizeof *floor->subscribers);
    floor->order = huge_memory_map(subscribers * sizeof *floor->order);
    floor->queue = huge_memory_map((floor->queue_mask + (size_t)1) * sizeof *floor->queue);
    floor->headers.pool = create_pool("floor_headers", HEADER_ROOM);
    floor->payloads.pool = create_pool("floor_payloads", 0);
    if (!floor->connections || !floor->subscribers || !floor->order || !floor->queue || !floor->headers.pool ||
        !floor->payloads.pool)
        return -ENOMEM;
    if (connection_table_init(&floor->table, subscribers, random_next(&floor->random)) != 0 ||
        timer_wheel_init(&floor->wheel, subscribers, floor_clock(floor) / NS_PER_MS) != 0 ||
        frame_log_init(&floor->log, floor->options.mss, floor->options.seed) != 0)
        return -ENOMEM;
    return create_population(floor);
}

static void establish(struct floor *floor, uint32_t slot)
{
    struct floor_connection *connection = &floor->connections[slot];
    uint32_t ip = rte_cpu_to_be_32(population_client_ip(slot)), sequence = population_server_sequence(floor->population, slot);
    struct connection_key key = {ip, RTE_BE32(SERVER_IP), rte_cpu_to_be_16(population_client_port(slot)), RTE_BE16(SERVER_PORT)};

    *connection = (struct floor_connection){
        .owner = slot,
        .pinned = UINT64_MAX,
        .remote_port = key.remote_port,
        .peer_scale = CLIENT_SCALE,
        .una = sequence,
        .nxt = sequence,
        .window = CLIENT_WINDOW,
        .receive_next = population_client_sequence(floor->population, slot),
        .cwnd = FIRST_CWND,
        .srtt_us = (uint32_t)(floor->options.rtt_ns / NS_PER_US), /* as measured in a handshake */
    };
    memcpy(connection->remote_address, &ip, sizeof ip);
    floor->subscribers[slot] = (struct floor_subscriber){.connection = connection};
    floor->order[slot] = slot;
    if (!connection_table_add(&floor->table, &key, slot))
        errx(1, "connection %u finds no free entry in the table", slot);
}

int floor_create(struct floor **out, const struct floor_options *options)
{
    struct floor *floor = aligned_alloc(64, (sizeof *floor + 63) / 64 * 64);
    int error;

    if (!floor)
        return -ENOMEM;
    memset(floor, 0, sizeof *floor);
    floor->options = *options;
    floor->clock_base = rte_rdtsc();
    floor->ns_per_cycle = 1e9 / (double)rte_get_tsc_hz();
    random_seed(&floor->random, options->seed);
    epochs_init(&floor->epochs);
    floor_init_template(floor);
    error = allocate(floor);
    if (error != 0) {
        floor_destroy(floor);
        return error;
    }
    for (uint32_t slot = 0; slot < options->subscribers; slot++)
        establish(floor, slot);
    *out = floor;
    return 0;
}

static void destroy_supply(struct mbuf_supply *supply)
{
    if (supply->count > 0)
        rte_mempool_put_bulk(supply->pool, (void **)supply->mbufs, supply->count);
    rte_mempool_free(supply->pool);
}

void floor_destroy(struct floor *floor)
{
    if (!floor)
        return;
    uint32_t subscribers = floor->options.subscribers;

    population_destroy(floor->population);
    frame_log_dispose(&floor->log);
    timer_wheel_dispose(&floor->wheel);
    connection_table_dispose(&floor->table);
    destroy_supply(&floor->payloads);
    destroy_supply(&floor->headers);
    huge_memory_unmap(floor->queue, (floor->queue_mask + (size_t)1) * sizeof *floor->queue);
    huge_memory_unmap(floor->order, subscribers * sizeof *floor->order);
    huge_memory_unmap(floor->subscribers, subscribers * sizeof *floor->subscribers);
    huge_memory_unmap(floor->connections, subscribers * sizeof *floor->connections);
    free(floor);
}

/* --- rounds --- */

static void shuffle(struct floor *floor)
{
    for (uint32_t i = floor->options.subscribers; i > 1; i--) {
        uint32_t j = (uint32_t)random_below(&floor->random, i), slot = floor->order[j];

        floor->order[j] = floor->order[i - 1];
        floor->order[i - 1] = slot;
    }
}

static void append_frame(struct floor *floor)
{
    const struct log_frame *frame;
    struct floor_stamp stamp = floor_begin(floor);

    frame = frame_log_append(&floor->log, floor->options.bytes);
    floor_measured(floor, PART_FRAME, stamp);
    population_add_frame(floor->population, frame->bytes, frame->length);
}

static uint32_t receive_and_fire(struct floor *floor)
{
    uint32_t received;

    floor->now_ns = floor_clock(floor);
    received = floor_receive(floor);
    floor_fire_timers(floor);
    return received;
}

/* Serves what acknowledgements or the quantum have left in the queue. */
static void serve_rest(struct floor *floor)
{
    while (floor->queue_head != floor->queue_tail) {
        floor_serve(floor);
        receive_and_fire(floor);
    }
}

/* Receives until no acknowledgement is on its way. */
static void drain(struct floor *floor)
{
    uint64_t next_ns;

    while (serve_rest(floor), (next_ns = population_next_arrival_ns(floor->population)) != CLOCK_NEVER) {
        uint64_t now_ns = floor_clock(floor);

        if (next_ns > now_ns)
            floor->clock_jump_ns += next_ns - now_ns + NAP_NS;
        receive_and_fire(floor);
    }
}

void floor_run_round(struct floor *floor)
{
    uint64_t begun_ns = floor_clock(floor);

    shuffle(floor);
    floor->prefetched = 0;
    append_frame(floor);
    for (uint32_t first = 0; first < floor->options.subscribers; first += SLICE) {
        uint32_t count = RTE_MIN((uint32_t)SLICE, floor->options.subscribers - first);

        receive_and_fire(floor);
        floor_offer(floor, first, count);
        floor_serve(floor);
        floor_note_progress(floor, first, count);
    }
    drain(floor);
    uint64_t passed_ns = floor_clock(floor) - begun_ns;
    if (passed_ns < floor->options.interval_ns)
        floor->clock_jump_ns += floor->options.interval_ns - passed_ns;
    receive_and_fire(floor); /* the timers of the time left out */
}
