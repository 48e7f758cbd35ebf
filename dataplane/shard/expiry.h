/* The time-outs of handshakes, pings, pongs and closing connections. */
#ifndef DATAPLANE_SHARD_EXPIRY_H
#define DATAPLANE_SHARD_EXPIRY_H

#include <stdint.h>

struct shard;

/* Handles the timers that have ended by shard->events_until_ns, a bounded number of each kind. */
void expiry_turn(struct shard *shard);

/* When the next timer ends, CLOCK_NEVER if none runs. */
uint64_t expiry_deadline(const struct shard *shard);

#endif
