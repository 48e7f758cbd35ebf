/* What a seed draws: the weather, the sizes, the limits, and how badly everybody behaves. */
#include "sim/world.h"

#include <stdio.h>

#define PLENTY 1000 /* of places, or of messages to lag behind */

static void draw_network(struct sim_network_options *network, struct random *random)
{
    bool rough = random_below(random, 3) != 0;

    network->seed = random_next(random);
    network->delay_min_ns = between(random, 0, NS_PER_MS);
    network->delay_max_ns = network->delay_min_ns + between(random, 1, 10 * NS_PER_MS);
    network->segment_max_bytes = (uint32_t)between(random, 1, 4) == 1 ? (uint32_t)between(random, 20, 2000) : 65536;
    network->window_bytes = rough ? (uint32_t)between(random, 2000, 30000) : 4 << 20;
    network->short_send_permille = rough ? (uint32_t)random_below(random, 300) : 0;
    network->late_send_permille = random_below(random, 2) == 0 ? (uint32_t)random_below(random, 1000) : 0;
    network->zerocopy_permille = random_below(random, 3) == 0 ? (uint32_t)random_below(random, 1000) : 0;
    network->starve_permille = random_below(random, 4) == 0 ? (uint32_t)random_below(random, 500) : 0;
    network->reset_permille_per_s = random_below(random, 4) == 0 ? (uint32_t)random_below(random, 300) : 0;
}

/* Logs so small that they wrap and run out of room all the time, or so large that nobody is cut off by the floor. */
static void draw_log(struct plan *plan, struct random *random)
{
    bool roomy = random_below(random, 5) == 0;

    plan->max_message_bytes = between(random, 2000, 16000);
    plan->payload_bytes = (uint32_t)plan->max_message_bytes;
    plan->grain_bytes = random_below(random, 2) == 0 ? 512 : 0;
    plan->arena_bytes = roomy ? 2 << 20 : 2 * plan->max_message_bytes + between(random, 0, 40000);
    plan->entries = roomy ? 1024 : UINT32_C(1) << between(random, 2, 7);
}

static void draw_policy(struct plan *plan, struct random *random)
{
    plan->message_buffer_size = random_below(random, 2) == 0 ? (uint32_t)between(random, 1, 24) : PLENTY;
    plan->send_timeout_ns = random_below(random, 2) == 0 ? 0 : between(random, 50, 1000) * NS_PER_MS;
    plan->client_ping = random_below(random, 2) == 0;
    plan->ping_interval_ns = between(random, 100, 600) * NS_PER_MS;
    plan->pong_timeout_ns = 2 * plan->ping_interval_ns + between(random, 100, 600) * NS_PER_MS;
    plan->instance_limit = random_below(random, 4) == 0 ? (uint32_t)between(random, 2, MAX_CLIENTS) : PLENTY;
    plan->ip_limit = random_below(random, 4) == 0 ? (uint32_t)between(random, 1, MAX_CLIENTS / 2) : 0;
    plan->sends_per_turn = (uint32_t)between(random, 1, random_below(random, 2) == 0 ? 4 : 256);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    *plan = (struct plan){.seed = seed};
    draw_network(&plan->network, &random);
    draw_log(plan, &random);
    draw_policy(plan, &random);
    plan->shards = (unsigned)between(&random, 1, MAX_SHARDS);
    plan->builders = (unsigned)between(&random, 1, MAX_BUILDERS);
    plan->clients = (unsigned)between(&random, 2, random_below(&random, 3) == 0 ? MAX_CLIENTS : 10);
    plan->flashblocks = (unsigned)between(&random, 20, 120);
    plan->interval_ns = between(&random, 2, 50) * NS_PER_MS;
    plan->burst_permille = (uint32_t)random_below(&random, 600);
    plan->compress = random_below(&random, 6) == 0;
    plan->brotli_permille = random_below(&random, 5) == 0 ? (uint32_t)random_below(&random, 1000) : 0;
    plan->client_fault_permille = random_below(&random, 4) == 0 ? 0 : (uint32_t)between(&random, 5, 120);
    plan->builder_fault_permille = random_below(&random, 2) == 0 ? 0 : (uint32_t)between(&random, 2, 30);
    plan->hiccup_permille = (uint32_t)random_below(&random, 100);
    plan->interruption_permille = random_below(&random, 2) == 0 ? (uint32_t)between(&random, 1, 100) : 0;
    plan->stall_per_million = random_below(&random, 4) == 0 ? (uint32_t)between(&random, 50, 1000) : 0;
    plan->drain = random_below(&random, 2) == 0;
    plan->limited = plan->instance_limit < PLENTY || plan->ip_limit > 0;
}

void plan_print(const struct plan *plan)
{
    const struct sim_network_options *network = &plan->network;

    printf("seed %llu: %u shards, %u builders, %u clients, %u flashblocks every %llu ms, burst %u\n",
           (unsigned long long)plan->seed, plan->shards, plan->builders, plan->clients, plan->flashblocks,
           (unsigned long long)(plan->interval_ns / NS_PER_MS), plan->burst_permille);
    printf("  log %zu bytes, %u entries, messages up to %llu, %s, brotli %u\n", plan->arena_bytes, plan->entries,
           (unsigned long long)plan->max_message_bytes, plan->compress ? "compressing" : "as they come", plan->brotli_permille);
    printf("  network: delay %llu..%llu us, segments %u, window %u, short %u, late %u, by reference %u, resets %u\n",
           (unsigned long long)(network->delay_min_ns / NS_PER_US), (unsigned long long)(network->delay_max_ns / NS_PER_US),
           network->segment_max_bytes, network->window_bytes, network->short_send_permille, network->late_send_permille,
           network->zerocopy_permille, network->reset_permille_per_s);
    printf("  buffer %u, send time-out %llu ms, pings %s %llu/%llu ms, limits %u/%u, %u sends per turn\n",
           plan->message_buffer_size, (unsigned long long)(plan->send_timeout_ns / NS_PER_MS), plan->client_ping ? "on" : "off",
           (unsigned long long)(plan->ping_interval_ns / NS_PER_MS), (unsigned long long)(plan->pong_timeout_ns / NS_PER_MS),
           plan->instance_limit, plan->ip_limit, plan->sends_per_turn);
    printf("  faults: clients %u, builders %u, hiccups %u; ends with %s\n", plan->client_fault_permille,
           plan->builder_fault_permille, plan->hiccup_permille, plan->drain ? "a shutdown" : "everybody leaving");
}
