/*
 * The encoder: one worker thread that follows a source channel and publishes each message in another encoding in a target channel, under
 * the same sequence number. A gap in the source becomes a gap in the target. Each encoding is a table of functions.
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
 * One encoding. `encode` runs on the encoder's thread, the other functions on those of encoder_create and encoder_destroy. `encode` has no
 * error: it passes on or leaves out a message that can't be encoded, whichever the target's readers can take, and logs why.
 */
struct encoding {
    const char *name; /* of the target channel and of the encoder's thread: shorter than THREAD_NAME_BYTES; static */

    /* Creates the state that is kept between messages. 0 or a negative errno; `*context` is set only on success. */
    int (*create)(void **context);
    void (*destroy)(void *context); /* a `context` of NULL is allowed */

    /* Most bytes that `encode` writes for a message of `length` bytes; never smaller for a larger `length`. */
    size_t (*output_limit)(size_t length);

    /*
     * Encodes a message of `length` bytes, which may be 0, into `out` of `capacity` bytes: at least the output_limit of the largest
     * message. Sets `*out_length` if it returns ENCODING_ENCODED.
     */
    enum encoding_outcome (*encode)(void *context, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                                    size_t *out_length);
};

/* Compresses JSON with brotli (RFC 7932; quality 5, window 22). Passes on any other message, which is taken to be brotli already. */
extern const struct encoding brotli_encoding;

/* --- the worker --- */

struct encoder_options {
    const struct encoding *encoding; /* static */
    struct channel *source;
    struct channel *target;
    /* The marks of the source. Shards have none there: a subscriber holds frames of the target only. */
    struct channel_marks *marks;
    unsigned reader;       /* index of the encoder's mark in them */
    struct waker **wakers; /* of the shards, woken after each frame */
    unsigned waker_count;
    struct waker *publisher; /* of the source, woken when the mark moves while the source waits for room; may be NULL */
    size_t max_message_bytes;
};

/* Written by the encoder's thread, read by any. */
struct encoder_counters {
    counter messages;            /* published */
    counter passed_on;           /* of `messages`: as they came */
    counter bytes_in, bytes_out; /* of the messages encoded: before and after */
    counter waited_for_room;     /* messages that had to wait for room in the target */
    struct histogram encode_ns;  /* time to encode a message, of those encoded */
};

struct encoder;

/*
 * Creates an encoder that joins the source: it encodes what is published from now on. `options` is copied; what it points to must outlive
 * the encoder. The caller frees it with encoder_destroy. 0, -ENOMEM, or the error of the encoding's `create`.
 */
int encoder_create(struct encoder **out, const struct encoder_options *options);

/* Frees the encoder, after its thread's end. NULL is allowed. */
void encoder_destroy(struct encoder *encoder);

/*
 * Encodes and publishes the next message, or publishes the message that found no room before; true if it did. It never skips a message:
 * while the target has no room, the encoder's mark keeps the source's frames. `now(context)` is a clock in ns, for figures. The worker's
 * thread, or the simulator.
 */
bool encoder_turn(struct encoder *encoder, uint64_t (*now)(void *context), void *context);

/* Sleeps, unless there is something to do, until it is woken or `timeout_ms` have passed. The worker's thread. */
void encoder_wait(struct encoder *encoder, int timeout_ms);

/* The waker that ends the worker's sleep. The source's publisher and the target's readers (shard_channel.publisher) must have it. */
struct waker *encoder_waker(struct encoder *encoder);

/* The encoding's name. Any thread. */
const char *encoder_name(const struct encoder *encoder);

/* The encoder's figures, which it owns. Any thread. */
const struct encoder_counters *encoder_counters_get(const struct encoder *encoder);

#endif
