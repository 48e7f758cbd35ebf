/* One run: everything is made from the seed, and then whoever has something to do is turned until all have left. */
#include "sim/world.h"

#include <stdlib.h>

/* --- life --- */

static void create(struct sim_world *world, const struct plan *plan)
{
    world->plan = *plan;
    random_seed(&world->random, plan->seed ^ UINT64_C(0x5bd1e995));
    world->contents = calloc(MAX_CONTENTS, sizeof(void *));
    if (!world->contents || sim_network_create(&world->network, &plan->network) != 0)
        abort();
    world->empty = content_create(world, false);
    world->empty->length = 0;
    plane_create(world);
    for (unsigned i = 0; i < plane_threads(world); i++)
        sim_thread_create(&world->threads[i], world, i);
    for (unsigned i = 0; i < plan->builders; i++)
        sim_builder_create(world, i);
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        struct ip_address ip = {{[10] = 0xff, [11] = 0xff, 10, 2, 0, (uint8_t)(i + 1)}};
        world->client_engines[i] = sim_line_engine_create(world, ip, world);
    }
    for (unsigned i = 0; i < plan->clients; i++)
        client_create(world, i);
    world->next_flashblock_ns = sim_world_now(world) + 100 * NS_PER_MS;
    world->phase_end_ns = world->stop_ns = CLOCK_NEVER;
}

static void destroy(struct sim_world *world)
{
    for (unsigned i = 0; i < plane_threads(world); i++)
        sim_thread_destroy(&world->threads[i]);
    plane_destroy(world);
    for (unsigned i = 0; i < world->plan.builders; i++) {
        engine_destroy(world->builders[i].engine);
        sim_builder_destroy(&world->builders[i]);
    }
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        engine_destroy(world->client_engines[i]);
    for (unsigned i = 0; i < world->plan.clients; i++)
        client_destroy(&world->clients[i]);
    sim_network_destroy(world->network);
    record_dispose(&world->source);
    record_dispose(&world->target);
    contents_destroy(world);
}

static bool is_over(const struct sim_world *world)
{
    return world->phase == PHASE_END && world->phase_end_ns <= sim_world_now(world);
}

/* What was interrupted goes on, without further interruptions. */
static void end_turns(struct sim_world *world)
{
    world->plan.interruption_permille = 0;
    for (unsigned i = 0; i < plane_threads(world); i++)
        if (world->threads[i].is_within_turn)
            sim_thread_run(&world->threads[i]);
}

static void add_shard_totals(struct totals *totals, const struct shard_counters *counters)
{
    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        totals->disconnects[cause] += counter_read(&counters->disconnects[cause]);
    totals->limited += counter_read(&counters->global_limited) + counter_read(&counters->ip_limited);
    totals->bad_requests += counter_read(&counters->bad_requests);
    totals->handshake_timeouts += counter_read(&counters->handshake_timeouts);
}

static void add_totals(struct totals *totals, const struct sim_world *world)
{
    struct channel_figures figures;

    channel_figures_get(world->plane.target, &figures);
    totals->seeds++;
    totals->steps += world->steps;
    totals->published += figures.head;
    totals->delivered += world->delivered;
    totals->refusals += figures.append_refusals;
    totals->wraps += figures.wraps;
    for (unsigned i = 0; i < world->plan.builders; i++) {
        const struct upstream_counters *counters = ingest_upstream_counters(world->plane.ingest, i);
        totals->duplicates += counter_read(&counters->duplicates);
        totals->upstream_errors += counter_read(&counters->errors);
    }
    for (unsigned i = 0; i < world->plan.shards; i++)
        add_shard_totals(totals, shard_counters_get(world->plane.shards[i]));
    if (world->plane.encoder)
        totals->compressed += counter_read(&encoder_counters_get(world->plane.encoder)->messages);
}

void sim_world_run(const struct plan *plan, struct totals *totals)
{
    struct sim_world *world = calloc(1, sizeof *world);

    if (!world)
        abort();
    create(world, plan);
    while (!is_over(world))
        schedule_step(world);
    end_turns(world);
    check_end(world);
    add_totals(totals, world);
    destroy(world);
    free(world);
}
