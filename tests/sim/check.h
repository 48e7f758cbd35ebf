/* What must hold: after every step, whenever all threads sleep, when all is calm, and at the end. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "sim/client.h"

/* After every turn of a thread. */
void check_step(struct sim_world *world);
/* When no thread has anything to do at this moment. */
void check_rest(struct sim_world *world);
/* When all is calm: everything arrived. */
void check_calm(struct sim_world *world);
/* When all have left. */
void check_end(struct sim_world *world);

/* --- why subscribers are ended (cause_check.c) --- */

/* A subscriber's connection has ended. */
void check_ending(const struct client *client, int error);

/* When all threads sleep: nobody is there who should have been cut off. */
void check_who_is_left(struct sim_world *world);

#endif
