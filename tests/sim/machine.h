/* What happens to the machine that the relay runs on: threads that do not get on. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

struct sim_world;

/* Once a step: perhaps something begins to go wrong. */
void machine_step(struct sim_world *world);

/* Everything is well from now on, but for short pauses. */
void machine_recover(struct sim_world *world);

#endif
