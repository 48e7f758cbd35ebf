/* Channels for tests, and frames whose bytes follow from their sequence number. */
#ifndef TESTS_SUPPORT_CHANNELS_H
#define TESTS_SUPPORT_CHANNELS_H

#include "flashrelay/channel.h"

#include <stddef.h>
#include <stdint.h>

/* A channel for `readers` readers, none of which has joined; `marks` is initialised for it. Aborts on failure. */
struct channel *make_channel(struct channel_marks *marks, unsigned readers, size_t arena_bytes, uint32_t entries);

/* Appends a binary frame of `length` payload bytes filled with the low byte of `sequence`. Returns what channel_append returns. */
int append_filled(struct channel *channel, uint64_t sequence, size_t length, uint64_t ingest_ns);

#endif
