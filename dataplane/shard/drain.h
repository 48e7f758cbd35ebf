/* The orderly end of a shard: its subscribers are closed one by one, in random order, over a time that grows with their number. */
#ifndef DATAPLANE_SHARD_DRAIN_H
#define DATAPLANE_SHARD_DRAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shard;

struct drain {
    _Atomic bool asked;    /* set by any thread */
    _Atomic bool finished; /* no subscriber is left */
    bool running;
    uint32_t total, closed; /* subscribers open at the start; closed since */
    uint64_t start_ns, spread_ns;
};

/* When drain_turn next has something to do; 0: at once, CLOCK_NEVER: at no known time. */
uint64_t drain_deadline(const struct shard *shard);

/* Begins the drain once it was asked for, then closes the subscribers that are due. */
void drain_turn(struct shard *shard);

#endif
