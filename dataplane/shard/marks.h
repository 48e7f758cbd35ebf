/* What a shard publishes of the frames that it may still touch: one mark for each set of marks of its channels. */
#ifndef DATAPLANE_SHARD_MARKS_H
#define DATAPLANE_SHARD_MARKS_H

struct fanout_mark;
struct shard;
struct shard_channel;

/* The mark for a channel: channels that share a set of marks share it. There is room for one per channel. */
struct fanout_mark *marks_find(struct shard *shard, const struct shard_channel *channel);

/* Publishes the marks, and wakes the publishers that wait for room. Once per turn. */
void marks_publish(struct shard *shard);

#endif
