/*
 * The compressor: one worker thread that follows the source channel and publishes each message brotli-compressed (quality 5,
 * window 22) in a channel of its own, under the same sequence number. What is brotli already is passed on as it is.
 */
#ifndef FLASHRELAY_COMPRESSOR_H
#define FLASHRELAY_COMPRESSOR_H

#include "flashrelay/channel.h"
#include "flashrelay/counter.h"
#include "flashrelay/engine.h"
#include "flashrelay/histogram.h"

struct compressor_options {
    struct channel *source;
    struct channel *target;
    /* Of the source. Shards are not among them: what a subscriber holds is held in the target alone. */
    struct channel_marks *marks;
    unsigned reader;       /* the compressor's mark among them */
    struct waker **wakers; /* of the shards, woken after each publish */
    unsigned waker_count;
    struct waker *publisher; /* ingest's: woken when the mark moves while the source waits for room */
    size_t max_message_bytes;
};

struct compressor_counters {
    counter messages, passed_on, bytes_in, bytes_out, no_room;
    struct histogram compress_ns;
};

struct compressor;
int compressor_create(struct compressor **out, const struct compressor_options *options);
void compressor_destroy(struct compressor *compressor);

/*
 * Compresses and publishes the next message, or publishes the one that found no room; true if it did. It never skips one:
 * while the target has no room the source's publisher waits. `now` is a clock for figures. The worker's thread, or the
 * simulator.
 */
bool compressor_turn(struct compressor *compressor, uint64_t (*now)(void *context), void *context);

/* Sleeps, unless there is something to do, until compressor_wake or `timeout_ms`. */
void compressor_wait(struct compressor *compressor, int timeout_ms);

/* What ends the worker's sleep: to be among the ingest's `wakers`, and the shards' `publisher`. */
struct waker *compressor_waker(struct compressor *compressor);

/* Any thread: ends the sleep, or the next one, whatever there is to do (for its end). */
void compressor_wake(struct compressor *compressor);

const struct compressor_counters *compressor_counters_get(const struct compressor *compressor);

#endif
