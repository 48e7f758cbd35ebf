/* The orderly end of a shard: its subscribers are closed one by one, in random order, over a time that grows with their number. */
#ifndef DATAPLANE_SHARD_DRAIN_H
#define DATAPLANE_SHARD_DRAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shard;

struct drain {
    _Atomic bool asked;    /* any thread */
    _Atomic bool finished; /* no subscriber is left */
    bool running;
    uint32_t total, closed; /* open ones at the start; closed since */
    uint64_t start_ns, spread_ns;
};

/* When the next close is due; 0 if the end was asked for and not begun, CLOCK_NEVER if there is none. */
uint64_t drain_deadline(const struct shard *shard);

/* Begins when asked, then closes whoever is due. */
void drain_turn(struct shard *shard);

#endif
