/* A shard's marks: the lowest frame that it may still touch, published once for each set of marks that its channels have. */
#ifndef DATAPLANE_SHARD_MARKS_H
#define DATAPLANE_SHARD_MARKS_H

struct fanout_mark;
struct shard;
struct shard_channel;

/* Returns the shard's mark for a channel, a new one unless a channel with the same set of marks has one. There is room for one per channel. */
struct fanout_mark *marks_find(struct shard *shard, const struct shard_channel *channel);

/* Publishes the marks, and wakes the publishers that wait for room. Once per turn. */
void marks_publish(struct shard *shard);

#endif
