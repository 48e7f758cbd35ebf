/* Faults of the machine that the relay runs on: threads that stall, and lack of descriptors. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include <stdint.h>

struct sim_world;

/* Called once per step: begins faults, with the chances of the plan. */
void machine_step(struct sim_world *world);

/* Ends a lack of descriptors whose time is over. */
void machine_act(struct sim_world *world);
uint64_t machine_deadline(const struct sim_world *world);

/* Ends all faults. From now on threads only pause for short times. */
void machine_recover(struct sim_world *world);

#endif
