/*
 * The threads of the data plane. If a plan has interruptions, each thread takes its turns on a stack of its own and may be interrupted within
 * them, at every point at which it meets other threads, the network or the clock. While it is interrupted, others run, and time passes.
 */
#ifndef TESTS_SIM_THREAD_H
#define TESTS_SIM_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

struct sim_world;

struct sim_thread {
    struct sim_world *world;
    unsigned index;
    uint64_t deadline_ns;     /* of its sleep, as determined when it fell asleep */
    uint64_t paused_until_ns; /* it does not run before: other threads have the core, or the process has none */
    uint64_t stall_ns;        /* for how long it will be interrupted at its next point; 0: not at all */
    bool is_within_turn;
    ucontext_t context;
    void *stack;      /* NULL: its turns are not interrupted */
    void *fake_stack; /* the address sanitizer's */
};

void sim_thread_init(struct sim_thread *thread, struct sim_world *world, unsigned index);

/* Begins a turn, or resumes the one that was interrupted, and runs it to its end or to the next interruption. */
void sim_thread_run(struct sim_thread *thread);

/* A point: the thread that runs, if any, may be interrupted here. */
void sim_thread_point(void);

/* The thread that runs; NULL while the world or peers act. */
const struct sim_thread *sim_thread_running(void);

/* Between these two calls the thread is not interrupted: for checks that run within a turn. */
void sim_thread_begin_check(void);
void sim_thread_end_check(void);

#endif
