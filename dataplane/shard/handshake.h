/* From the first byte to the upgrade: reads a subscriber's request, answers it or asks control to admit it. */
#ifndef DATAPLANE_SHARD_HANDSHAKE_H
#define DATAPLANE_SHARD_HANDSHAKE_H

#include "flashrelay/shard.h"
#include "shard/subscriber.h"

/* Reads a request; returns how many bytes were consumed: none beyond its head. */
size_t handshake_received(struct shard *shard, struct subscriber *subscriber, const uint8_t *bytes, size_t length);

/* Control's verdict is no: answers 429. */
void handshake_refuse(struct shard *shard, struct subscriber *subscriber);

/* The time is up: answers 408, or 503 where it was control that did not answer. */
void handshake_time_out(struct shard *shard, struct subscriber *subscriber);

/* Gives back what an incomplete request keeps. */
void handshake_forget(struct shard *shard, struct subscriber *subscriber);

#endif
