/*
 * The threads of the data plane. Where a plan has interruptions, each takes its turns on a stack of its own and may be interrupted within
 * them, at every point at which it meets other threads, the network or the clock: then others run, and time passes.
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
    uint64_t deadline_ns;     /* of its sleep, as it saw it when it fell asleep */
    uint64_t paused_until_ns; /* other threads have the core, or the whole process has none */
    uint64_t stall_ns;        /* for how long it will be interrupted at its next point; 0: it will not */
    bool is_within_turn;
    ucontext_t context;
    void *stack;      /* NULL: its turns are whole */
    void *fake_stack; /* the address sanitizer's */
};

void sim_thread_init(struct sim_thread *thread, struct sim_world *world, unsigned index);

/* Begins a turn, or goes on with the one that was interrupted: to its end, or to the next interruption. */
void sim_thread_run(struct sim_thread *thread);

/* A point at which the thread that runs, if any, may be interrupted. */
void sim_thread_point(void);

/* The thread that runs; NULL while the world or peers act. */
const struct sim_thread *sim_thread_running(void);

/* Between the two there are no such points: for checks that run within a turn. */
void sim_thread_begin_check(void);
void sim_thread_end_check(void);

#endif
