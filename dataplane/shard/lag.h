/*
 * The lag policy: who refuses bytes is watched until everything offered was taken, and cut off if it falls too far behind
 * (dataplane/README.md, "Who lags is who refuses bytes") or below the floor (dataplane/README.md, "The publisher never waits").
 */
#ifndef DATAPLANE_SHARD_LAG_H
#define DATAPLANE_SHARD_LAG_H

#include <stdint.h>

struct shard;
struct subscriber;
struct fanout;
struct engine_progress;

/* After each service, or acknowledgement: the subscriber may be watched, not any more, or be cut off. */
void lag_progressed(struct shard *shard, struct subscriber *subscriber, const struct engine_progress *progress);

/* It is watched no more. */
void lag_forget(struct shard *shard, struct subscriber *subscriber);

/* Cuts off who fell too far behind, or took nothing for too long. */
void lag_turn(struct shard *shard);

/* When lag_turn may next have something to do. */
uint64_t lag_deadline(const struct shard *shard);

/* Cuts off whoever refuses, or still keeps, a frame below `floor`. */
void lag_cut_below(struct shard *shard, struct fanout *fanout, uint64_t floor);

#endif
