/*
 * The lag policy: a subscriber whose socket refuses bytes is watched until it has taken everything offered. It is cut off if it falls too
 * far behind or takes nothing for too long (dataplane/README.md, "When a subscriber lags"), or if it holds a frame below the floor
 * (dataplane/README.md, "The publisher never waits").
 */
#ifndef DATAPLANE_SHARD_LAG_H
#define DATAPLANE_SHARD_LAG_H

#include <stdint.h>

struct shard;
struct subscriber;
struct fanout;
struct engine_progress;

/* Called after each service or acknowledgement: begins or ends watching the subscriber, or cuts it off. */
void lag_progressed(struct shard *shard, struct subscriber *subscriber, const struct engine_progress *progress);

/* Ends watching the subscriber, if it is watched. */
void lag_stop_watching(struct shard *shard, struct subscriber *subscriber);

/* Cuts off watched subscribers that are too far behind or took nothing for too long, a bounded number per turn. */
void lag_turn(struct shard *shard);

/* When lag_turn, or lag_cut_below with what it left over, may next have something to do. */
uint64_t lag_deadline(const struct shard *shard);

/* Cuts off subscribers of `fanout` that refuse a frame below `floor` or keep one pinned, a bounded number per turn. */
void lag_cut_below(struct shard *shard, struct fanout *fanout, uint64_t floor);

#endif
