/* Counts of what happened in all seeds so far. They show what a run has not tested: the events that never happened in it. */
#ifndef TESTS_SIM_TOTALS_H
#define TESTS_SIM_TOTALS_H

#include "flashrelay/shard.h"

struct sim_world;

struct totals {
    uint64_t seeds, steps, published, delivered, duplicates, compressed, too_big, refusals, wraps;
    uint64_t limited, unauthorized, bad_requests, handshake_timeouts, upstream_errors;
    uint64_t stalls, shortages, starved, by_reference;
    uint64_t disconnects[DISCONNECT_CAUSES];
};

/* Adds what happened in a run that has ended. */
void totals_add(struct totals *totals, const struct sim_world *world);
void totals_print(const struct totals *totals);

#endif
