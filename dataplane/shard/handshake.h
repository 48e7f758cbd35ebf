/* From the first byte to the upgrade: reads a subscriber's request, answers it or asks control to admit it. */
#ifndef DATAPLANE_SHARD_HANDSHAKE_H
#define DATAPLANE_SHARD_HANDSHAKE_H

#include "flashrelay/shard.h"
#include "shard/subscriber.h"

/* Reads a request; returns how many bytes were consumed: none beyond its head. */
size_t handshake_received(struct shard *shard, struct subscriber *subscriber, const uint8_t *bytes, size_t length);

/* Answers 429, after control refused admission. */
void handshake_refuse(struct shard *shard, struct subscriber *subscriber);

/* Answers a handshake that took too long: 408 if the request is incomplete, 503 if control did not answer. */
void handshake_time_out(struct shard *shard, struct subscriber *subscriber);

/* Gives back the buffer of an incomplete request, if there is one. */
void handshake_release_head(struct shard *shard, struct subscriber *subscriber);

#endif
