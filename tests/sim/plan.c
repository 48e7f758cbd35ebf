#include "sim/world.h"

#include <stdio.h>

#define PLENTY 1000 /* of places, or of messages to lag behind */
#define FEW    20   /* clients */

/* --- drawing --- */

static bool once_in(struct random *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

static uint32_t draw_permille(struct random *random, uint64_t low, uint64_t high)
{
    return (uint32_t)between(random, low, high);
}

/* Draws how engines send: on sockets that copy, on sockets that send by reference, or with a TCP of their own. */
static void draw_sending(struct sim_network_options *network, struct random *random)
{
    network->late_send_permille = once_in(random, 2) ? draw_permille(random, 0, 999) : 0;
    network->own_tcp = once_in(random, 8);
    if (!network->own_tcp && once_in(random, 3)) {
        network->zerocopy_permille = draw_permille(random, 0, 999);
        network->late_notification_permille = once_in(random, 2) ? draw_permille(random, 1, 100) : 0;
    }
    network->late_close_permille = once_in(random, 2) ? draw_permille(random, 0, 999) : 0;
}

static void draw_network(struct sim_network_options *network, struct random *random)
{
    bool is_rough = !once_in(random, 3);

    network->seed = random_next(random);
    network->delay_min_ns = between(random, 0, NS_PER_MS);
    network->delay_max_ns = network->delay_min_ns + between(random, 1, 10 * NS_PER_MS);
    network->segment_max_bytes = once_in(random, 4) ? (uint32_t)between(random, 20, 2000) : 65536;
    network->window_bytes = is_rough ? (uint32_t)between(random, 2000, 30000) : 4 << 20;
    network->short_send_permille = is_rough ? draw_permille(random, 0, 299) : 0;
    network->no_receive_buffer_permille = once_in(random, 4) ? draw_permille(random, 0, 499) : 0;
    network->reset_permille_per_s = once_in(random, 4) ? draw_permille(random, 0, 299) : 0;
    draw_sending(network, random);
}

static void draw_machine(struct machine_plan *machine, struct random *random)
{
    machine->hiccup_permille = draw_permille(random, 0, 99);
    machine->interruption_permille = once_in(random, 2) ? draw_permille(random, 1, 100) : 0;
    machine->stall_per_million = once_in(random, 4) ? (uint32_t)between(random, 50, 1000) : 0;
    machine->shortage_per_million = once_in(random, 8) ? (uint32_t)between(random, 50, 2000) : 0;
}

/* Draws a log so small that it wraps and runs out of room all the time, or so large that no subscriber is cut off for the floor. */
static void draw_log(struct plan *plan, struct random *random)
{
    bool is_roomy = once_in(random, 5);

    plan->max_message_bytes = between(random, 2000, 16000);
    plan->payload_bytes = (uint32_t)plan->max_message_bytes;
    plan->grain_bytes = once_in(random, 2) ? 512 : 0;
    plan->arena_bytes = is_roomy ? 2 << 20 : 2 * plan->max_message_bytes + between(random, 0, 40000);
    plan->entries = is_roomy ? 1024 : UINT32_C(1) << between(random, 2, 7);
}

static void draw_policy(struct plan *plan, struct random *random)
{
    plan->message_buffer_size = once_in(random, 2) ? (uint32_t)between(random, 1, 24) : PLENTY;
    plan->send_timeout_ns = once_in(random, 2) ? 0 : between(random, 50, 1000) * NS_PER_MS;
    plan->client_ping = once_in(random, 2);
    plan->ping_interval_ns = between(random, 100, 600) * NS_PER_MS;
    plan->pong_timeout_ns = 2 * plan->ping_interval_ns + between(random, 100, 600) * NS_PER_MS;
    plan->sends_per_turn = (uint32_t)between(random, 1, once_in(random, 2) ? 4 : 256);
}

static void draw_access(struct access_plan *access, struct random *random, unsigned clients)
{
    access->instance_limit = once_in(random, 4) ? (uint32_t)between(random, 2, clients) : PLENTY;
    access->ip_limit = once_in(random, 4) ? (uint32_t)between(random, 1, clients / 2 + 1) : 0;
    if (once_in(random, 6)) {
        access->apps = (unsigned)between(random, 1, MAX_APPS);
        access->is_public = once_in(random, 3);
        access->app_limit = once_in(random, 2) ? (uint32_t)between(random, 1, clients / 2 + 1) : UINT32_MAX;
    }
    access->descriptors = once_in(random, 8) ? (unsigned)between(random, 2, clients) : 0;
    access->is_forwarded = once_in(random, 4);
    access->has_limits =
        access->instance_limit < PLENTY || access->ip_limit > 0 || (access->apps > 0 && access->app_limit < PLENTY);
    access->selections = once_in(random, 6) ? (uint16_t)between(random, 1, MAX_SELECTIONS) : 0;
}

/* Draws few shards, builders and clients or, now and then, many, with fewer flashblocks. */
static void draw_people(struct plan *plan, struct random *random)
{
    bool is_crowd = once_in(random, 128);

    plan->shards = (unsigned)between(random, 1, is_crowd ? MAX_SHARDS : 3);
    plan->builders = (unsigned)between(random, 1, MAX_BUILDERS);
    plan->clients = (unsigned)between(random, 2, once_in(random, 3) ? FEW : 10);
    plan->flashblocks = (unsigned)between(random, 20, 120);
    if (is_crowd) {
        plan->clients = (unsigned)between(random, 50, MAX_CLIENTS);
        plan->flashblocks = (unsigned)between(random, 10, 40);
    }
    plan->interval_ns = between(random, 2, 50) * NS_PER_MS;
    plan->burst_permille = draw_permille(random, 0, 599);
}

static void draw_behaviour(struct plan *plan, struct random *random)
{
    bool is_coarse = plan->network.segment_max_bytes > 2000; /* much data arrives in few pieces, so that floods are possible */

    plan->client.fault_permille = once_in(random, 4) ? 0 : draw_permille(random, 5, 120);
    plan->builder.fault_permille = once_in(random, 2) ? 0 : draw_permille(random, 2, 30);
    plan->builder.brotli_permille = once_in(random, 5) ? draw_permille(random, 0, 999) : 0;
    if (is_coarse && plan->clients <= FEW && once_in(random, 40))
        plan->builder.flood_permille = draw_permille(random, 2, 20);
    if (!plan->compress && once_in(random, 8))
        plan->builder.bomb_permille = draw_permille(random, 5, 50);
    if (is_coarse && once_in(random, 40))
        plan->client.flood_permille = draw_permille(random, 2, 20);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    *plan = (struct plan){.seed = seed};
    draw_network(&plan->network, &random);
    draw_machine(&plan->machine, &random);
    draw_log(plan, &random);
    draw_policy(plan, &random);
    draw_people(plan, &random);
    plan->compress = once_in(&random, 6);
    draw_access(&plan->access, &random, plan->clients);
    plan->access.has_both_channels = plan->compress && once_in(&random, 2);
    draw_behaviour(plan, &random);
    plan->drain = once_in(&random, 2);
}

/* --- printing --- */

static unsigned long long ms(uint64_t ns)
{
    return ns / NS_PER_MS;
}

static void print_network(const struct sim_network_options *network)
{
    printf("  network: delay %llu..%llu us, segments %u, window %u, short %u, late %u, starved %u, resets %u\n",
           (unsigned long long)(network->delay_min_ns / NS_PER_US), (unsigned long long)(network->delay_max_ns / NS_PER_US),
           network->segment_max_bytes, network->window_bytes, network->short_send_permille, network->late_send_permille,
           network->no_receive_buffer_permille, network->reset_permille_per_s);
    printf("  engines: %s, by reference %u, notified late %u, closed late %u\n",
           network->own_tcp ? "with TCP of their own" : "on sockets", network->zerocopy_permille,
           network->late_notification_permille, network->late_close_permille);
}

static void print_access(const struct access_plan *access)
{
    printf("  access: limits %u/%u, %u apps%s of %u, %u descriptors, %s, %u selections, %s\n", access->instance_limit,
           access->ip_limit, access->apps, access->is_public ? " or none" : "", access->app_limit, access->descriptors,
           access->is_forwarded ? "forwarded" : "direct", access->selections,
           access->has_both_channels ? "both channels" : "one channel");
}

void plan_print(const struct plan *plan)
{
    const struct machine_plan *machine = &plan->machine;

    printf("seed %llu: %u shards, %u builders, %u clients, %u flashblocks every %llu ms, burst %u\n",
           (unsigned long long)plan->seed, plan->shards, plan->builders, plan->clients, plan->flashblocks, ms(plan->interval_ns),
           plan->burst_permille);
    printf("  log %zu bytes, %u entries, messages up to %llu, %s\n", plan->arena_bytes, plan->entries,
           (unsigned long long)plan->max_message_bytes, plan->compress ? "compressing" : "as they come");
    print_network(&plan->network);
    print_access(&plan->access);
    printf("  policy: buffer %u, send time-out %llu ms, pings %s %llu/%llu ms, %u sends per turn\n", plan->message_buffer_size,
           ms(plan->send_timeout_ns), plan->client_ping ? "on" : "off", ms(plan->ping_interval_ns), ms(plan->pong_timeout_ns),
           plan->sends_per_turn);
    printf("  faults: clients %u, builders %u, brotli %u; floods %u, %u, bombs %u\n", plan->client.fault_permille,
           plan->builder.fault_permille, plan->builder.brotli_permille, plan->client.flood_permille, plan->builder.flood_permille,
           plan->builder.bomb_permille);
    printf("  machine: hiccups %u, interruptions %u, stalls %u, shortages %u; ends with %s\n", machine->hiccup_permille,
           machine->interruption_permille, machine->stall_per_million, machine->shortage_per_million,
           plan->drain ? "a shutdown" : "everybody leaving");
}
