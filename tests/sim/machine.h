/* What happens to the machine that the relay runs on: threads that do not get on, and want of descriptors. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include <stdint.h>

struct sim_world;

/* Once a step: perhaps something begins to go wrong. */
void machine_step(struct sim_world *world);

/* Ends what goes wrong, where its time has come. */
void machine_act(struct sim_world *world);
uint64_t machine_deadline(const struct sim_world *world);

/* Everything is well from now on, but for short pauses. */
void machine_recover(struct sim_world *world);

#endif
