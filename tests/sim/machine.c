#include "sim/machine.h"

#include "sim/world.h"

#define LONGEST_HICCUP_NS    (20 * NS_PER_MS)
#define SHORTEST_STALL_NS    (100 * NS_PER_MS)
#define LONGEST_STALL_NS     (5 * NS_PER_S)
#define LONGEST_ANSWER_NS    (8 * NS_PER_S) /* of control: longer than a handshake may take */
#define SHORTEST_SHORTAGE_NS (10 * NS_PER_MS)
#define LONGEST_SHORTAGE_NS  (1500 * NS_PER_MS)

/* --- threads --- */

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

/* Some thread gets no turn for long, or is interrupted for long within its next one, as when the machine swaps or the process is stopped. */
static void stall_thread(struct sim_world *world)
{
    struct sim_thread *thread = draw_thread(world);
    uint64_t longest_ns = thread->index == THREAD_CONTROL ? LONGEST_ANSWER_NS : LONGEST_STALL_NS;
    uint64_t stall_ns = between(&world->random, SHORTEST_STALL_NS, longest_ns);

    world->stalls++;
    if (thread->stack && random_below(&world->random, 2) == 0) {
        thread->stall_ns = stall_ns;
        return;
    }
    pause_thread(thread, stall_ns);
    trace(world, "%s stalls for %llu ms", plane_thread_name(thread->index), (unsigned long long)(stall_ns / NS_PER_MS));
}

/* --- descriptors --- */

static struct engine *draw_engine(struct sim_world *world)
{
    uint64_t place = random_below(&world->random, world->plan.shards + 1);

    return place == 0 ? world->plane.ingest_engine : world->plane.shard_engines[place - 1];
}

static void take_descriptors(struct sim_world *world)
{
    if (world->short_engine)
        return;
    world->short_engine = draw_engine(world);
    world->short_until_ns = sim_world_now(world) + between(&world->random, SHORTEST_SHORTAGE_NS, LONGEST_SHORTAGE_NS);
    engine_sim_take_descriptors(world->short_engine, true);
    trace(world, "no descriptors for %s", world->short_engine == world->plane.ingest_engine ? "the ingest" : "a shard");
}

static void give_descriptors_back(struct sim_world *world)
{
    if (!world->short_engine)
        return;
    engine_sim_take_descriptors(world->short_engine, false);
    world->short_engine = NULL;
    trace(world, "descriptors again");
}

/* --- beginning and ending faults --- */

static bool chance_per_million(struct sim_world *world, uint32_t per_million)
{
    return per_million > 0 && random_below(&world->random, 1000000) < per_million;
}

void machine_step(struct sim_world *world)
{
    if (chance(&world->random, world->plan.machine.hiccup_permille))
        pause_thread(draw_thread(world), between(&world->random, 0, LONGEST_HICCUP_NS));
    if (world->phase != PHASE_FLOW)
        return;
    if (chance_per_million(world, world->plan.machine.stall_per_million))
        stall_thread(world);
    if (chance_per_million(world, world->plan.machine.shortage_per_million))
        take_descriptors(world);
}

uint64_t machine_deadline(const struct sim_world *world)
{
    return world->short_engine ? world->short_until_ns : CLOCK_NEVER;
}

void machine_act(struct sim_world *world)
{
    if (machine_deadline(world) <= sim_world_now(world))
        give_descriptors_back(world);
}

void machine_recover(struct sim_world *world)
{
    for (unsigned i = 0; i < plane_threads(world); i++) {
        world->threads[i].paused_until_ns = 0;
        world->threads[i].stall_ns = 0;
    }
    give_descriptors_back(world);
}
