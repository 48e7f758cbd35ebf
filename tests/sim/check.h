/* What must hold: after every step, whenever all threads sleep, when all is calm, and at the end. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "sim/client.h"

/* How many of a shard's subscribers its next turn may cut off at most, by cause, added to those it has cut off already. */
struct verdicts {
    uint64_t lagged, log_floor, send_timeout;
};

/* Before and after every turn of a thread. */
void check_before_turn(struct sim_world *world);
void check_step(struct sim_world *world);
/* When no thread has anything to do at this moment. */
void check_rest(struct sim_world *world);
/* When all is calm: everything arrived. */
void check_calm(struct sim_world *world);
/* When all have left. */
void check_end(struct sim_world *world);

/* Why the subscriber may have been ended by the relay; fails if there is no reason. */
void check_ending(struct client *client, int error);

/* --- the lag policy (lag_check.c) --- */

/* Notes who refuses bytes, and since when; after every turn. */
void lag_note(struct sim_world *world);
/* How many may be cut off in the shards' next turns; and that no more were. */
void lag_expect(struct sim_world *world);
void lag_check_cuts(const struct sim_world *world);
/* When all threads sleep: nobody is there who should have been cut off. */
void lag_check_rest(const struct sim_world *world);

#endif
