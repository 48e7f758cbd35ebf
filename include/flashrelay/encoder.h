/*
 * The encoder: one worker thread that follows a source channel and publishes each message in another encoding in a target channel, under
 * the same sequence number. What is a gap in the source is one in the target. Encodings plug in as tables of functions.
 */
#ifndef FLASHRELAY_ENCODER_H
#define FLASHRELAY_ENCODER_H

#include "flashrelay/channel.h"
#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"
#include "flashrelay/waker.h"

/* --- encodings --- */

/* What becomes of one message. */
enum encoding_outcome {
    ENCODING_ENCODED,   /* what was written to `out` is published */
    ENCODING_PASSED_ON, /* the message is published as it came */
    ENCODING_LEFT_OUT,  /* the target has no frame for it: a gap */
};

/*
 * One encoding. Its functions run on the encoder's thread, create and destroy on that of encoder_create and encoder_destroy. There is no
 * error: what can't be encoded is passed on or left out, whichever the channel's readers can take, and the encoding logs why.
 */
struct encoding {
    const char *name; /* of the target channel and of the encoder's thread: shorter than THREAD_NAME_BYTES; static */

    /* Creates what is kept from message to message. 0 or a negative errno; `*context` is set only on success. */
    int (*create)(void **context);
    void (*destroy)(void *context); /* NULL is allowed */

    /* Most bytes that `encode` writes for a message of `length` bytes; grows with it. */
    size_t (*output_limit)(size_t length);

    /*
     * Encodes a message of `length` bytes, which may be 0, into `out` of `capacity` bytes: at least the output_limit of the largest
     * message. Sets `*out_length` if it returns ENCODING_ENCODED.
     */
    enum encoding_outcome (*encode)(void *context, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                                    size_t *out_length);
};

/* JSON becomes brotli (RFC 7932; quality 5, window 22); anything else is passed on, as it is brotli already. */
extern const struct encoding brotli_encoding;

/* --- the worker --- */

struct encoder_options {
    const struct encoding *encoding; /* static */
    struct channel *source;
    struct channel *target;
    /* Of the source. Shards are not among them: what a subscriber holds is held in the target alone. */
    struct channel_marks *marks;
    unsigned reader;       /* the encoder's mark among them */
    struct waker **wakers; /* of the shards, woken after each frame */
    unsigned waker_count;
    struct waker *publisher; /* the source's: woken when the mark moves while the source waits for room; may be NULL */
    size_t max_message_bytes;
};

/* Written by the encoder's thread, read by any. */
struct encoder_counters {
    counter messages;            /* published */
    counter passed_on;           /* of those, as they came */
    counter bytes_in, bytes_out; /* of those encoded: before and after */
    counter no_room;             /* messages that had to wait for room in the target */
    struct histogram encode_ns;  /* of those encoded */
};

struct encoder;

/* Joins the source: what is published from now on is encoded. 0, -ENOMEM, or what the encoding's create returned. */
int encoder_create(struct encoder **out, const struct encoder_options *options);

/* After its thread's end. NULL is allowed. */
void encoder_destroy(struct encoder *encoder);

/*
 * Encodes and publishes the next message, or publishes the one that found no room; true if it did. It never skips one: while the target
 * has no room the source's publisher waits. `now` is a clock for figures. The worker's thread, or the simulator.
 */
bool encoder_turn(struct encoder *encoder, uint64_t (*now)(void *context), void *context);

/* Sleeps, unless there is something to do, until it is woken or for `timeout_ms`. The worker's thread. */
void encoder_wait(struct encoder *encoder, int timeout_ms);

/* What ends the worker's sleep: to be among the `wakers` of the source's publisher, and the shards' `publisher`. */
struct waker *encoder_waker(struct encoder *encoder);

/* The encoding's name. Any thread. */
const char *encoder_name(const struct encoder *encoder);

const struct encoder_counters *encoder_counters_get(const struct encoder *encoder);

#endif
