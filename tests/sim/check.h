/* What must hold: after every step, whenever all threads sleep, when all is calm, and at the end. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "sim/client.h"
#include "sim/plane.h"

/* What connections of a shard hold of a channel, as of the shard's last step; 0 is not yet known. */
struct held {
    uint64_t lowest[MAX_SHARDS][MAX_FOLLOWED];
};

/* After a thread's turn, or a part of one. */
void check_step(struct sim_world *world, unsigned thread);
/* When no thread has anything to do at this moment. */
void check_rest(struct sim_world *world);

/* --- when all is calm, and at the end (calm_check.c) --- */

/* Everything arrived. */
void check_calm(const struct sim_world *world);
/* All have left. */
void check_end(const struct sim_world *world);

/* --- why subscribers are ended (cause_check.c) --- */

/* A subscriber's connection has ended. */
void check_ending(const struct client *client, int error);

/* When all threads sleep: nobody is there who should have been cut off. */
void check_who_is_left(struct sim_world *world);

#endif
