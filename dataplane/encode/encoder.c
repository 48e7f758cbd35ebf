#include "flashrelay/encoder.h"

#include "base/message_buffer.h"
#include "flashrelay/brotli_codec.h"
#include "flashrelay/clock.h"
#include "flashrelay/histogram.h"
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

/* Room in the target is announced by a wake-up; where that fails to come, it is looked for this often. */
#define RETRY_MS 1

struct encoder {
    struct waker waker;
    struct encoder_options options;
    struct encoder_counters counters;
    struct brotli_arena *arena;
    struct message_buffer packed;
    uint64_t next;        /* sequence number of the message to publish next */
    const uint8_t *bytes; /* what to publish of it: in `packed` or in the source; NULL until it was looked at */
    size_t length;
    uint64_t ingest_ns;
    bool waiting;            /* the target had no room for it */
    _Atomic uint32_t called; /* the futex: set by a wake-up, taken after the sleep */
};

/* --- messages --- */

/* Publishes the mark, and what it frees. */
static void move_on(struct encoder *encoder)
{
    const struct encoder_options *options = &encoder->options;

    encoder->bytes = NULL;
    encoder->waiting = false;
    message_buffer_clear(&encoder->packed);
    channel_mark_set(options->marks, options->reader, ++encoder->next);
    if (options->publisher && channel_is_waiting(options->source))
        waker_wake(options->publisher, NULL);
}

static void compress(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    struct message_buffer *packed = &encoder->packed;
    uint64_t begun_ns = now(context);
    int error =
        brotli_arena_compress(encoder->arena, encoder->bytes, encoder->length, packed->bytes, packed->capacity, &packed->length);

    if (error != 0) {
        log_line(LOG_WARN, "encoder", "passed on a message of %zu bytes uncompressed: %s", encoder->length, strerror(-error));
        return;
    }
    histogram_record(&encoder->counters.compress_ns, now(context) - begun_ns, 1);
    counter_add(&encoder->counters.bytes_in, encoder->length);
    counter_add(&encoder->counters.bytes_out, packed->length);
    encoder->bytes = packed->bytes;
    encoder->length = packed->length;
}

/* Prepares what to publish; leaves `bytes` NULL for a gap. */
static void examine(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    struct channel_frame frame;

    channel_frame_get(encoder->options.source, encoder->next, &frame);
    if (frame.length == 0)
        return;
    encoder->bytes = frame.bytes + frame.header_length;
    encoder->length = frame.length - frame.header_length;
    encoder->ingest_ns = frame.ingest_ns;
    if (message_is_json(encoder->bytes, encoder->length))
        compress(encoder, now, context);
}

static void wake_readers(const struct encoder *encoder)
{
    for (unsigned i = 0; i < encoder->options.waker_count; i++)
        waker_wake(encoder->options.wakers[i], NULL);
}

static void count(struct encoder *encoder)
{
    counter_add(&encoder->counters.messages, 1);
    if (encoder->bytes != encoder->packed.bytes)
        counter_add(&encoder->counters.passed_on, 1);
}

/* False if the target has no room now. */
static bool publish(struct encoder *encoder)
{
    struct channel *target = encoder->options.target;
    uint64_t floor = channel_floor(target);
    int error = channel_append(target, encoder->next, WS_BINARY, encoder->bytes, encoder->length, encoder->ingest_ns);

    if (!error || channel_floor(target) > floor) /* readers that sleep must let go of what is below it */
        wake_readers(encoder);
    if (error == -ENOSPC) {
        if (!encoder->waiting)
            counter_add(&encoder->counters.no_room, 1);
        encoder->waiting = true;
        return false;
    }
    if (error != 0) {
        log_line(LOG_ERROR, "encoder", "dropped a message of %zu bytes: the log can never hold it", encoder->length);
    } else {
        count(encoder);
    }
    move_on(encoder);
    return true;
}

static bool has_unread(const struct encoder *encoder)
{
    return encoder->next <= channel_head(encoder->options.source);
}

bool encoder_turn(struct encoder *encoder, uint64_t (*now)(void *context), void *context)
{
    if (!encoder->bytes) {
        if (!has_unread(encoder))
            return false;
        examine(encoder, now, context);
    }
    if (encoder->bytes)
        return publish(encoder);
    move_on(encoder);
    return true;
}

/* --- sleep --- */

static void call(struct encoder *encoder)
{
    atomic_store(&encoder->called, 1);
    syscall(SYS_futex, &encoder->called, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wake_worker(struct waker *waker, struct waker *from)
{
    (void)from;
    call(LIST_ENTRY(waker, struct encoder, waker));
}

struct waker *encoder_waker(struct encoder *encoder)
{
    return &encoder->waker;
}

void encoder_wake(struct encoder *encoder)
{
    call(encoder);
}

/* What came between the last turn and the announcement of the sleep was woken for in vain: so look once more. */
void encoder_wait(struct encoder *encoder, int timeout_ms)
{
    int most_ms = encoder->bytes && timeout_ms > RETRY_MS ? RETRY_MS : timeout_ms;
    struct timespec timeout = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * (long)NS_PER_MS};

    waker_prepare_sleep(&encoder->waker);
    if (encoder->bytes ? !publish(encoder) : !has_unread(encoder))
        syscall(SYS_futex, &encoder->called, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
    waker_end_sleep(&encoder->waker);
    atomic_exchange(&encoder->called, 0);
}

/* --- life --- */

int encoder_create(struct encoder **out, const struct encoder_options *options)
{
    struct encoder *encoder = aligned_alloc(_Alignof(struct encoder), sizeof *encoder);

    if (!encoder)
        return -ENOMEM;
    memset(encoder, 0, sizeof *encoder);
    waker_init(&encoder->waker, wake_worker);
    encoder->options = *options;
    if (brotli_arena_create(&encoder->arena) ||
        message_buffer_init(&encoder->packed, brotli_compressed_limit(options->max_message_bytes))) {
        encoder_destroy(encoder);
        return -ENOMEM;
    }
    encoder->next = channel_reader_join(options->source, options->reader);
    *out = encoder;
    return 0;
}

void encoder_destroy(struct encoder *encoder)
{
    if (!encoder)
        return;
    brotli_arena_destroy(encoder->arena);
    message_buffer_dispose(&encoder->packed);
    free(encoder);
}

const struct encoder_counters *encoder_counters_get(const struct encoder *encoder)
{
    return &encoder->counters;
}
