#include "sim/machine.h"

#include "sim/world.h"

#define LONGEST_HICCUP_NS (20 * NS_PER_MS)
#define SHORTEST_STALL_NS (100 * NS_PER_MS)
#define LONGEST_STALL_NS  (5 * NS_PER_S)

static struct sim_thread *draw_thread(struct sim_world *world)
{
    return &world->threads[random_below(&world->random, plane_threads(world))];
}

static void pause_thread(struct sim_thread *thread, uint64_t duration_ns)
{
    uint64_t end_ns = sim_world_now(thread->world) + duration_ns;

    if (end_ns > thread->paused_until_ns)
        thread->paused_until_ns = end_ns;
}

/* Some thread does not run for a while: other threads have the core. */
static void pause_some_thread(struct sim_world *world)
{
    if (chance(&world->random, world->plan.hiccup_permille))
        pause_thread(draw_thread(world), between(&world->random, 0, LONGEST_HICCUP_NS));
}

/* Some thread does not run for long, or does not get on from within its next turn: the machine swaps, or the process was stopped. */
static void stall_some_thread(struct sim_world *world)
{
    uint64_t stall_ns;
    struct sim_thread *thread;

    if (world->phase != PHASE_FLOW || random_below(&world->random, 1000000) >= world->plan.stall_per_million)
        return;
    stall_ns = between(&world->random, SHORTEST_STALL_NS, LONGEST_STALL_NS);
    thread = draw_thread(world);
    if (thread->stack && random_below(&world->random, 2) == 0) {
        thread->stall_ns = stall_ns;
        return;
    }
    pause_thread(thread, stall_ns);
    trace(world, "%s stalls for %llu ms", plane_thread_name(thread->index), (unsigned long long)(stall_ns / NS_PER_MS));
}

void machine_recover(struct sim_world *world)
{
    for (unsigned i = 0; i < plane_threads(world); i++) {
        world->threads[i].paused_until_ns = 0;
        world->threads[i].stall_ns = 0;
    }
}

void machine_step(struct sim_world *world)
{
    pause_some_thread(world);
    stall_some_thread(world);
}
