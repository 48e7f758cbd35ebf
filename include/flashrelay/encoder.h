/*
 * The encoder: one worker thread that follows the source channel and publishes each message brotli-compressed (quality 5,
 * window 22) in a channel of its own, under the same sequence number. What is brotli already is passed on as it is.
 */
#ifndef FLASHRELAY_ENCODER_H
#define FLASHRELAY_ENCODER_H

#include "flashrelay/channel.h"
#include "flashrelay/counter.h"
#include "flashrelay/engine.h"
#include "flashrelay/histogram.h"

struct encoder_options {
    struct channel *source;
    struct channel *target;
    /* Of the source. Shards are not among them: what a subscriber holds is held in the target alone. */
    struct channel_marks *marks;
    unsigned reader;       /* the encoder's mark among them */
    struct waker **wakers; /* of the shards, woken after each publish */
    unsigned waker_count;
    struct waker *publisher; /* ingest's: woken when the mark moves while the source waits for room */
    size_t max_message_bytes;
};

struct encoder_counters {
    counter messages, passed_on, bytes_in, bytes_out, no_room;
    struct histogram compress_ns;
};

struct encoder;
int encoder_create(struct encoder **out, const struct encoder_options *options);
void encoder_destroy(struct encoder *encoder);

/*
 * Compresses and publishes the next message, or publishes the one that found no room; true if it did. It never skips one:
 * while the target has no room the source's publisher waits. `now` is a clock for figures. The worker's thread, or the
 * simulator.
 */
bool encoder_turn(struct encoder *encoder, uint64_t (*now)(void *context), void *context);

/* Sleeps, unless there is something to do, until encoder_wake or `timeout_ms`. */
void encoder_wait(struct encoder *encoder, int timeout_ms);

/* What ends the worker's sleep: to be among the ingest's `wakers`, and the shards' `publisher`. */
struct waker *encoder_waker(struct encoder *encoder);

/* Any thread: ends the sleep, or the next one, whatever there is to do (for its end). */
void encoder_wake(struct encoder *encoder);

const struct encoder_counters *encoder_counters_get(const struct encoder *encoder);

#endif
