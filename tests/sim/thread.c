#include "sim/thread.h"

#include "sim/world.h"

#include <stdlib.h>
#include <sys/mman.h>

#define STACK_BYTES             (1 << 20) /* mapped; it takes up memory only as far as it is used */
#define LONGEST_INTERRUPTION_NS (20 * NS_PER_MS)

/* The thread that runs, and the context from which it was started. */
static struct {
    struct sim_thread *thread; /* NULL: no thread, as peers or the world act */
    unsigned checks;
    ucontext_t context;
    void *fake_stack;
    const void *stack_bottom; /* as the address sanitizer knows it */
    size_t stack_bytes;
} running;

/* Defined only with the address sanitizer. */
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t bytes) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom_old, size_t *bytes_old) __attribute__((weak));

/* --- switching --- */

/* Called on the thread's own stack: switches back to the context that started it. `fake_stack` is NULL if the thread does not come back. */
static void leave_stack(struct sim_thread *thread, void **fake_stack)
{
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(fake_stack, running.stack_bottom, running.stack_bytes);
    swapcontext(&thread->context, &running.context);
}

static void note_arrival(void *fake_stack)
{
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(fake_stack, &running.stack_bottom, &running.stack_bytes);
}

/* A whole turn. The thread announces its sleep at the turn's beginning, and looks once more for work before it falls asleep. */
static void turn(struct sim_thread *thread)
{
    plane_thread_turn(thread->world, thread->index);
    thread->deadline_ns = plane_thread_deadline(thread->world, thread->index);
}

static void take_turn(void)
{
    struct sim_thread *thread = running.thread;

    note_arrival(NULL);
    turn(thread);
    thread->is_within_turn = false;
    leave_stack(thread, NULL);
}

static void interrupt(struct sim_thread *thread, uint64_t duration_ns)
{
    thread->paused_until_ns = sim_world_now(thread->world) + duration_ns;
    leave_stack(thread, &thread->fake_stack);
    note_arrival(thread->fake_stack);
}

static void enter_stack(struct sim_thread *thread)
{
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&running.fake_stack, thread->stack, STACK_BYTES);
    swapcontext(&running.context, &thread->context);
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(running.fake_stack, NULL, NULL);
}

/* --- life --- */

/* The stack of thread `index`, which all runs of this process use. */
static void *stack_of(unsigned index)
{
    static void *stacks[MAX_THREADS];

    if (stacks[index])
        return stacks[index];
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    stacks[index] = stack;
    return stack;
}

void sim_thread_init(struct sim_thread *thread, struct sim_world *world, unsigned index)
{
    *thread = (struct sim_thread){.world = world, .index = index, .deadline_ns = plane_thread_deadline(world, index)};
    if (world->plan.machine.interruption_permille > 0)
        thread->stack = stack_of(index);
}

/* --- running --- */

static void run_on_stack(struct sim_thread *thread)
{
    if (!thread->is_within_turn) {
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = thread->stack;
        thread->context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&thread->context, take_turn, 0);
        thread->is_within_turn = true;
    }
    enter_stack(thread);
}

void sim_thread_run(struct sim_thread *thread)
{
    running.thread = thread;
    if (thread->stack)
        run_on_stack(thread);
    else
        turn(thread);
    running.thread = NULL;
}

const struct sim_thread *sim_thread_running(void)
{
    return running.thread;
}

/* Draws how long an interruption takes: most often no time passes, and other threads only run first. */
static uint64_t draw_interruption(struct random *random)
{
    switch (random_below(random, 16)) {
    case 0:
        return between(random, 0, LONGEST_INTERRUPTION_NS);
    case 1:
    case 2:
    case 3:
        return between(random, 0, NS_PER_MS);
    default:
        return 0;
    }
}

void sim_thread_point(void)
{
    struct sim_thread *thread = running.thread;
    struct sim_world *world;

    if (!thread || !thread->stack || running.checks > 0)
        return;
    world = thread->world;
    if (thread->stall_ns > 0) {
        uint64_t stall_ns = thread->stall_ns;

        thread->stall_ns = 0;
        trace(world, "%s stalls within a turn, for %llu ms", plane_thread_name(thread->index),
              (unsigned long long)(stall_ns / NS_PER_MS));
        interrupt(thread, stall_ns);
    } else if (chance(&world->random, world->plan.machine.interruption_permille)) {
        interrupt(thread, draw_interruption(&world->random));
    }
}

void sim_thread_begin_check(void)
{
    running.checks++;
}

void sim_thread_end_check(void)
{
    running.checks--;
}
