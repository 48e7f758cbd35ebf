/*
 * A whole data plane in a simulated world: builders and subscribers that behave as real ones do, well and badly, and checks after every
 * step. All from one seed.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/machine.h"
#include "sim/plan.h"
#include "sim/plane.h"
#include "sim/record.h"
#include "sim/schedule.h"
#include "sim/thread.h"
#include "sim/totals.h"

enum phase { PHASE_FLOW, PHASE_CALM, PHASE_END };

struct sim_world {
    struct plan plan;
    struct random random;
    struct sim_network *network;
    struct plane plane;
    struct held held;
    struct record source, target; /* of the two channels; if nothing is compressed, only `source` is used */
    struct content **contents;
    size_t content_count;
    struct content *empty; /* the only empty message */
    struct sim_builder builders[MAX_BUILDERS];
    struct engine *client_engines[CLIENT_HOSTS];
    struct client clients[MAX_CLIENTS];
    enum phase phase;
    uint64_t phase_end_ns, next_flashblock_ns, stop_ns;
    unsigned produced;
    uint64_t flood; /* messages that were sent in floods */
    struct sim_thread threads[MAX_THREADS];
    struct engine *short_engine; /* the engine that has no descriptors now; NULL: none */
    uint64_t short_until_ns;
    uint64_t steps, steps_at_this_time;
    uint64_t delivered; /* messages, to all subscribers */
    uint64_t stalls;    /* of threads, begun */
    bool draining;
};

/* Runs one seed to its end, and adds its counts to `totals`. Ends the program if a check fails. */
void sim_world_run(const struct plan *plan, struct totals *totals);

static inline uint64_t sim_world_now(const struct sim_world *world)
{
    return sim_network_now(world->network);
}

static inline bool chance(struct random *random, uint32_t permille)
{
    return random_below(random, 1000) < permille;
}

/* In [low, high]. */
static inline uint64_t between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

/* --- output (main.c) --- */

_Noreturn void fail(const struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trace(const struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern bool tracing;

#endif
