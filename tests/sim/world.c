/* One run: everything is made from the plan, and then runs, step by step, until all have left. */
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
        sim_thread_init(&world->threads[i], world, i);
    for (unsigned i = 0; i < plan->builders; i++)
        sim_builder_create(world, i);
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        world->client_engines[i] = sim_line_engine_create(world, request_place(i), world);
    for (unsigned i = 0; i < plan->clients; i++)
        client_create(world, i);
    world->next_flashblock_ns = sim_world_now(world) + 100 * NS_PER_MS;
    world->phase_end_ns = world->stop_ns = CLOCK_NEVER;
}

static void destroy(struct sim_world *world)
{
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

/* Runs interrupted turns to their ends, without further interruptions. */
static void end_turns(struct sim_world *world)
{
    world->plan.machine.interruption_permille = 0;
    for (unsigned i = 0; i < plane_threads(world); i++)
        if (world->threads[i].is_within_turn)
            sim_thread_run(&world->threads[i]);
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
    totals_add(totals, world);
    destroy(world);
    free(world);
}
