/* One run: everything is made from the seed, and then whoever has something to do is turned, in any order, until all have left. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#define CALM_NS            (9 * NS_PER_S)  /* all time-outs and a few attempts to connect */
#define END_NS             (12 * NS_PER_S) /* handshakes, closes and the drain end well before */
#define LONGEST_HICCUP_NS  (20 * NS_PER_MS)
#define SHORTEST_STALL_NS  (100 * NS_PER_MS)
#define LONGEST_STALL_NS   (5 * NS_PER_S)
#define MOST_STEPS_AT_ONCE 100000

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- flashblocks --- */

static void make_flashblock(struct sim_world *world)
{
    struct content *content = content_create(world, true);

    world->produced++;
    for (unsigned i = 0; i < world->plan.builders; i++)
        if (world->plan.builders == 1 || !chance(&world->random, 30)) /* some builder misses one now and then */
            sim_builder_give(&world->builders[i], content, sim_world_now(world) + between(&world->random, 0, 20 * NS_PER_MS));
    bool burst = chance(&world->random, world->plan.burst_permille);
    world->next_flashblock_ns = sim_world_now(world) + (burst ? 0 : between(&world->random, 1, 2 * world->plan.interval_ns));
}

/* --- threads that do not get on --- */

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

static void end_stalls(struct sim_world *world)
{
    for (unsigned i = 0; i < plane_threads(world); i++) {
        world->threads[i].paused_until_ns = 0;
        world->threads[i].stall_ns = 0;
    }
}

/* --- phases --- */

static void calm_down(struct sim_world *world)
{
    trace(world, "--- calm");
    end_stalls(world);
    world->phase = PHASE_CALM;
    world->phase_end_ns = sim_world_now(world) + CALM_NS;
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients[i];
        if (client->line.connection && client->unstall_ns != 0)
            client_stall(client, false);
    }
    for (unsigned i = 0; i < world->plan.builders; i++)
        world->builders[i].refusals = 0;
}

static void begin_end(struct sim_world *world)
{
    check_calm(world);
    trace(world, "--- end");
    world->phase = PHASE_END;
    world->phase_end_ns = sim_world_now(world) + END_NS;
    world->stop_ns = sim_world_now(world) + between(&world->random, 0, 2 * NS_PER_S);
    world->draining = world->plan.drain;
    for (unsigned i = 0; i < world->plan.shards && world->draining; i++)
        shard_drain(world->plane.shards[i]);
}

/* When the world itself has something to do. */
static uint64_t sim_world_deadline(const struct sim_world *world)
{
    if (world->phase == PHASE_FLOW && world->produced < world->plan.flashblocks)
        return world->next_flashblock_ns;
    return earlier(world->phase_end_ns, world->stop_ns);
}

static void sim_world_act(struct sim_world *world)
{
    uint64_t now_ns = sim_world_now(world);

    if (world->phase == PHASE_FLOW && world->produced < world->plan.flashblocks) {
        make_flashblock(world);
        world->phase_end_ns = now_ns + 500 * NS_PER_MS;
    } else if (world->stop_ns <= now_ns) {
        world->stop_ns = CLOCK_NEVER;
        ingest_stop(world->plane.ingest);
    } else if (world->phase == PHASE_FLOW) {
        calm_down(world);
    } else if (world->phase == PHASE_CALM) {
        begin_end(world);
    }
}

static bool is_over(const struct sim_world *world)
{
    return world->phase == PHASE_END && world->phase_end_ns <= sim_world_now(world);
}

/* --- scheduling: threads of the plane, engines of the peers, and actors are all alike --- */

enum { MOST_TASKS = 3 + MAX_SHARDS + MAX_BUILDERS + CLIENT_HOSTS + MAX_BUILDERS + MAX_CLIENTS + 1 };

struct task {
    enum task_kind { TASK_THREAD, TASK_BUILDER_ENGINE, TASK_CLIENT_ENGINE, TASK_BUILDER, TASK_CLIENT, TASK_WORLD } kind;
    unsigned index;
};

static void run(struct sim_world *world, struct task task)
{
    switch (task.kind) {
    case TASK_THREAD:
        sim_thread_run(&world->threads[task.index]);
        check_step(world);
        break;
    case TASK_BUILDER_ENGINE:
        engine_turn(world->builders[task.index].engine, 0);
        break;
    case TASK_CLIENT_ENGINE:
        engine_turn(world->client_engines[task.index], 0);
        break;
    case TASK_BUILDER:
        sim_builder_act(&world->builders[task.index]);
        break;
    case TASK_CLIENT:
        client_act(&world->clients[task.index]);
        break;
    case TASK_WORLD:
        sim_world_act(world);
        break;
    }
}

/* Who can run now, and when somebody can next. */
struct schedule {
    struct task tasks[MOST_TASKS];
    unsigned count;
    uint64_t next_ns;
    bool rest; /* no thread of the plane has anything to do, not even a paused one */
};

static void consider(struct schedule *schedule, struct sim_world *world, enum task_kind kind, unsigned index, uint64_t due_ns)
{
    if (due_ns <= sim_world_now(world))
        schedule->tasks[schedule->count++] = (struct task){.kind = kind, .index = index};
    else
        schedule->next_ns = earlier(schedule->next_ns, due_ns);
}

static void consider_threads(struct schedule *schedule, struct sim_world *world)
{
    for (unsigned i = 0; i < plane_threads(world); i++) {
        const struct sim_thread *thread = &world->threads[i];
        bool is_runnable = thread->is_within_turn || plane_thread_is_runnable(world, i);
        uint64_t due_ns = is_runnable ? 0 : plane_thread_deadline(world, i);

        if (due_ns <= sim_world_now(world))
            schedule->rest = false;
        if (due_ns < thread->paused_until_ns)
            due_ns = thread->paused_until_ns;
        consider(schedule, world, TASK_THREAD, i, due_ns);
    }
}

static void make_schedule(struct schedule *schedule, struct sim_world *world)
{
    schedule->count = 0;
    schedule->rest = true;
    schedule->next_ns = sim_network_next_event(world->network);
    consider_threads(schedule, world);
    for (unsigned i = 0; i < world->plan.builders; i++) {
        consider(schedule, world, TASK_BUILDER_ENGINE, i, engine_sim_is_due(world->builders[i].engine) ? 0 : CLOCK_NEVER);
        consider(schedule, world, TASK_BUILDER, i, sim_builder_deadline(&world->builders[i]));
    }
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        consider(schedule, world, TASK_CLIENT_ENGINE, i, engine_sim_is_due(world->client_engines[i]) ? 0 : CLOCK_NEVER);
    for (unsigned i = 0; i < world->plan.clients; i++)
        consider(schedule, world, TASK_CLIENT, i, client_deadline(&world->clients[i]));
    consider(schedule, world, TASK_WORLD, 0, sim_world_deadline(world));
}

static void step(struct sim_world *world)
{
    struct schedule schedule;

    world->steps++;
    pause_some_thread(world);
    stall_some_thread(world);
    make_schedule(&schedule, world);
    if (schedule.count > 0) {
        if (++world->steps_at_this_time > MOST_STEPS_AT_ONCE)
            fail(world, "somebody never comes to rest, %s for one", plane_thread_name(schedule.tasks[0].index));
        run(world, schedule.tasks[random_below(&world->random, schedule.count)]);
        return;
    }
    if (schedule.rest)
        check_rest(world);
    world->steps_at_this_time = 0;
    sim_network_advance(world->network, schedule.next_ns);
}

/* What was interrupted goes on, without further interruptions. */
static void end_turns(struct sim_world *world)
{
    world->plan.interruption_permille = 0;
    for (unsigned i = 0; i < plane_threads(world); i++)
        if (world->threads[i].is_within_turn)
            sim_thread_run(&world->threads[i]);
}

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
        step(world);
    end_turns(world);
    check_end(world);
    add_totals(totals, world);
    destroy(world);
    free(world);
}
