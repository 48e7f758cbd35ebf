/* Who acts next, and what the world does by itself. */
#ifndef TESTS_SIM_SCHEDULE_H
#define TESTS_SIM_SCHEDULE_H

#include <stdint.h>

struct sim_world;

/* Lets somebody act who has something to do; where nobody has, time goes on to when somebody has. */
void schedule_step(struct sim_world *world);

/* --- the world itself (phases.c) --- */

/* When it has something to do. */
uint64_t phases_deadline(const struct sim_world *world);
void phases_act(struct sim_world *world);

#endif
