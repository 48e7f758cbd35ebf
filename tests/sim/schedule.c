/* Runs tasks that are due, in any order. Threads of the plane, engines of the peers, and the peers' own actions are all tasks. */
#include "sim/world.h"

#define MOST_STEPS_AT_ONCE 100000

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum { MOST_TASKS = MAX_THREADS + MAX_BUILDERS + CLIENT_HOSTS + MAX_BUILDERS + MAX_CLIENTS + 2 };

struct task {
    enum task_kind {
        TASK_THREAD,
        TASK_BUILDER_ENGINE,
        TASK_CLIENT_ENGINE,
        TASK_BUILDER,
        TASK_CLIENT,
        TASK_MACHINE,
        TASK_WORLD
    } kind;
    unsigned index;
};

static void run(struct sim_world *world, struct task task)
{
    switch (task.kind) {
    case TASK_THREAD:
        sim_thread_run(&world->threads[task.index]);
        check_step(world, task.index);
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
    case TASK_MACHINE:
        machine_act(world);
        break;
    case TASK_WORLD:
        phases_act(world);
        break;
    }
}

/* The tasks that can run now, and when the next one can. */
struct schedule {
    struct task tasks[MOST_TASKS];
    unsigned count;
    uint64_t next_ns;
    bool all_asleep; /* no thread of the plane has anything to do, not even a paused one */
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
        uint64_t due_ns = is_runnable ? 0 : thread->deadline_ns;

        if (due_ns <= sim_world_now(world))
            schedule->all_asleep = false;
        if (due_ns < thread->paused_until_ns)
            due_ns = thread->paused_until_ns;
        consider(schedule, world, TASK_THREAD, i, due_ns);
    }
}

static void make_schedule(struct schedule *schedule, struct sim_world *world)
{
    schedule->count = 0;
    schedule->all_asleep = true;
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
    consider(schedule, world, TASK_MACHINE, 0, machine_deadline(world));
    consider(schedule, world, TASK_WORLD, 0, phases_deadline(world));
}

/* Whose task is due again and again: a thread's where one is among them. */
static const char *restless_task(const struct schedule *schedule)
{
    for (unsigned i = 0; i < schedule->count; i++)
        if (schedule->tasks[i].kind == TASK_THREAD)
            return plane_thread_name(schedule->tasks[i].index);
    return "a peer or the network";
}

void schedule_step(struct sim_world *world)
{
    struct schedule schedule;

    world->steps++;
    machine_step(world);
    make_schedule(&schedule, world);
    if (schedule.count > 0) {
        if (++world->steps_at_this_time > MOST_STEPS_AT_ONCE)
            fail(world, "more than %d steps without time passing: %s always has something to do", MOST_STEPS_AT_ONCE,
                 restless_task(&schedule));
        run(world, schedule.tasks[random_below(&world->random, schedule.count)]);
        return;
    }
    if (schedule.all_asleep)
        check_all_asleep(world);
    world->steps_at_this_time = 0;
    sim_network_advance(world->network, schedule.next_ns);
}
