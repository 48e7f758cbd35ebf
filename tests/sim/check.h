/* The checks: after every step, whenever all threads sleep, in the calm phase, and at the end. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "sim/client.h"
#include "sim/plane.h"

/* The lowest frame of a channel that connections of a shard hold, as of the shard's last step; 0: not known yet. */
struct held {
    uint64_t lowest[MAX_SHARDS][MAX_FOLLOWED];
};

/* Checks what must hold after a thread's turn, or a part of one. */
void check_step(struct sim_world *world, unsigned thread);
/* Checks what must hold when no thread has anything to do at this moment. */
void check_all_asleep(struct sim_world *world);

/* --- in the calm phase, and at the end (calm_check.c) --- */

/* Checks that everything has arrived. */
void check_calm(const struct sim_world *world);
/* Checks that all have left, and nothing is held. */
void check_end(const struct sim_world *world);

/* --- why subscribers are ended (cause_check.c) --- */

/* Checks that a subscriber's connection did not end without a reason. */
void check_ending(const struct client *client, int error);

/* Checks, when all threads sleep, that no subscriber is left that should have been cut off. */
void check_nobody_is_overdue(struct sim_world *world);

#endif
