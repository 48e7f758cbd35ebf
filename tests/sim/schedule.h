/* The order in which everything runs, and the phases of a run. */
#ifndef TESTS_SIM_SCHEDULE_H
#define TESTS_SIM_SCHEDULE_H

#include <stdint.h>

struct sim_world;

/* Runs one task that is due, chosen at random. If none is due, advances time to when the next one is. */
void schedule_step(struct sim_world *world);

/* --- the phases (phases.c) --- */

/* When phases_act has something to do next. */
uint64_t phases_deadline(const struct sim_world *world);
void phases_act(struct sim_world *world);

#endif
