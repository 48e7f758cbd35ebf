#include "flashrelay/encoder.h"

#include "base/message_buffer.h"
#include "flashrelay/clock.h"
#include "flashrelay/list.h"
#include "flashrelay/log.h"
#include "flashrelay/ws.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A wake-up announces room in the target; in case it does not come, the encoder looks for room this often. */
#define RETRY_MS 1

struct encoder {
    struct waker waker;
    struct encoder_options options;
    struct encoder_counters counters;
    void *context;                 /* the encoding's */
    struct message_buffer encoded; /* of the message that is published next, if it was encoded */

    uint64_t next;        /* sequence number of the message that is published next */
    bool is_prepared;     /* `bytes`, `length` and `ingest_ns` say what to publish for it */
    bool is_waiting;      /* the target had no room for it */
    const uint8_t *bytes; /* its payload, in `encoded` or in the source; NULL: a gap */
    size_t length;
    uint64_t ingest_ns;

    _Atomic uint32_t woken; /* the futex: set by a wake-up, cleared after the sleep */
};

/* --- life --- */

static void wake_worker(struct waker *waker, struct waker *from)
{
    struct encoder *encoder = LIST_ENTRY(waker, struct encoder, waker);

    (void)from;
    atomic_store(&encoder->woken, 1);
    syscall(SYS_futex, &encoder->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int create_parts(struct encoder *encoder)
{
    const struct encoding *encoding = encoder->options.encoding;
    int error = encoding->create(&encoder->context);

    return error == 0 ? message_buffer_init(&encoder->encoded, encoding->output_limit(encoder->options.max_message_bytes))
                      : error;
}

int encoder_create(struct encoder **out, const struct encoder_options *options)
{
    struct encoder *encoder = aligned_alloc(_Alignof(struct encoder), sizeof *encoder);
    int error;

    if (!encoder)
        return -ENOMEM;
    memset(encoder, 0, sizeof *encoder);
    waker_init(&encoder->waker, wake_worker);
    encoder->options = *options;
    error = create_parts(encoder);
    if (error != 0) {
        encoder_destroy(encoder);
        return error;
    }
    encoder->next = channel_reader_join(options->source, options->reader);
    *out = encoder;
    return 0;
}

void encoder_destroy(struct encoder *encoder)
{
    if (!encoder)
        return;
    encoder->options.encoding->destroy(encoder->context);
    message_buffer_dispose(&encoder->encoded);
    free(encoder);
}

/* --- encoding and publishing --- */

static bool has_unread(const struct encoder *encoder)
{
    return encoder->next <= channel_head(encoder->options.source);
}

static enum encoding_outcome encode(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    struct message_buffer *encoded = &encoder->encoded;
    uint64_t begun_ns = now(context);
    enum encoding_outcome outcome = encoder->options.encoding->encode(encoder->context, encoder->bytes, encoder->length,
                                                                      encoded->bytes, encoded->capacity, &encoded->length);

    if (outcome == ENCODING_ENCODED) {
        histogram_record(&encoder->counters.encode_ns, now(context) - begun_ns, 1);
        counter_add(&encoder->counters.bytes_in, encoder->length);
        counter_add(&encoder->counters.bytes_out, encoded->length);
    }
    return outcome;
}

/* Finds out what to publish for the next message. */
static void prepare(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    struct channel_frame frame;

    encoder->is_prepared = true;
    channel_frame_get(encoder->options.source, encoder->next, &frame);
    if (frame.length == 0)
        return;
    encoder->bytes = frame.bytes + frame.header_length;
    encoder->length = frame.length - frame.header_length;
    encoder->ingest_ns = frame.ingest_ns;
    switch (encode(encoder, now, context)) {
    case ENCODING_ENCODED:
        encoder->bytes = encoder->encoded.bytes;
        encoder->length = encoder->encoded.length;
        break;
    case ENCODING_PASSED_ON:
        break;
    case ENCODING_LEFT_OUT:
        encoder->bytes = NULL;
        break;
    }
}

/* Appends the prepared message to the target. 0 or -ENOSPC; a frame that the target can never hold becomes a gap. */
static int append(struct encoder *encoder)
{
    struct channel *target = encoder->options.target;
    int error;

    if (!encoder->bytes)
        return channel_append_gap(target, encoder->next);
    error = channel_append(target, encoder->next, WS_BINARY, encoder->bytes, encoder->length, encoder->ingest_ns);
    if (error != -EMSGSIZE)
        return error;
    log_line(LOG_ERROR, "encoder", "left out a message of %zu bytes: the %s log can never hold it", encoder->length,
             encoder_name(encoder));
    encoder->bytes = NULL;
    return channel_append_gap(target, encoder->next);
}

static void wake_readers(const struct encoder *encoder)
{
    for (unsigned i = 0; i < encoder->options.waker_count; i++)
        waker_wake(encoder->options.wakers[i], NULL);
}

static void count_published(struct encoder *encoder)
{
    if (!encoder->bytes)
        return;
    counter_add(&encoder->counters.messages, 1);
    if (encoder->bytes != encoder->encoded.bytes)
        counter_add(&encoder->counters.passed_on, 1);
}

static void count_waiting(struct encoder *encoder)
{
    if (!encoder->is_waiting)
        counter_add(&encoder->counters.waited_for_room, 1);
    encoder->is_waiting = true;
}

/* Lets go of the published message, and wakes the source's publisher if it waits for room. */
static void release_published(struct encoder *encoder)
{
    const struct encoder_options *options = &encoder->options;

    encoder->is_prepared = encoder->is_waiting = false;
    encoder->bytes = NULL;
    message_buffer_clear(&encoder->encoded);
    channel_mark_set(options->marks, options->reader, ++encoder->next);
    if (options->publisher && channel_is_waiting(options->source))
        waker_wake(options->publisher, NULL);
}

/* False if the target has no room now. Wakes sleeping readers for a new frame, and to let go of frames below a raised floor. */
static bool publish(struct encoder *encoder)
{
    const struct channel *target = encoder->options.target;
    uint64_t floor = channel_floor(target);
    int error = append(encoder);

    if ((error == 0 && encoder->bytes) || channel_floor(target) > floor)
        wake_readers(encoder);
    if (error != 0) {
        count_waiting(encoder);
        return false;
    }
    count_published(encoder);
    release_published(encoder);
    return true;
}

bool encoder_turn(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    if (!encoder->is_prepared) {
        if (!has_unread(encoder))
            return false;
        prepare(encoder, now, context);
    }
    return publish(encoder);
}

/* --- sleep --- */

/* The publisher wakes only readers that have announced a sleep, so the encoder looks for work once more after its announcement. */
void encoder_wait(struct encoder *encoder, int timeout_ms)
{
    int most_ms = encoder->is_prepared && timeout_ms > RETRY_MS ? RETRY_MS : timeout_ms;
    struct timespec timeout = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * (long)NS_PER_MS};

    waker_prepare_sleep(&encoder->waker);
    if (encoder->is_prepared ? !publish(encoder) : !has_unread(encoder))
        syscall(SYS_futex, &encoder->woken, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
    waker_end_sleep(&encoder->waker);
    atomic_exchange(&encoder->woken, 0);
}

struct waker *encoder_waker(struct encoder *encoder)
{
    return &encoder->waker;
}

/* --- figures --- */

const char *encoder_name(const struct encoder *encoder)
{
    return encoder->options.encoding->name;
}

const struct encoder_counters *encoder_counters_get(const struct encoder *encoder)
{
    return &encoder->counters;
}
