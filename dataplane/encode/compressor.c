#include "flashrelay/compressor.h"

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

struct compressor {
    struct waker waker;
    struct compressor_options options;
    struct compressor_counters counters;
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
static void move_on(struct compressor *compressor)
{
    const struct compressor_options *options = &compressor->options;

    compressor->bytes = NULL;
    compressor->waiting = false;
    message_buffer_clear(&compressor->packed);
    channel_mark_set(options->marks, options->reader, ++compressor->next);
    if (options->publisher && channel_is_waiting(options->source))
        waker_wake(options->publisher, NULL);
}

static void compress(struct compressor *compressor, uint64_t (*now)(void *context), void *context)
{
    struct message_buffer *packed = &compressor->packed;
    uint64_t begun_ns = now(context);
    int error = brotli_arena_compress(compressor->arena, compressor->bytes, compressor->length, packed->bytes, packed->capacity,
                                      &packed->length);

    if (error != 0) {
        log_line(LOG_WARN, "compressor", "passed on a message of %zu bytes uncompressed: %s", compressor->length,
                 strerror(-error));
        return;
    }
    histogram_record(&compressor->counters.compress_ns, now(context) - begun_ns, 1);
    counter_add(&compressor->counters.bytes_in, compressor->length);
    counter_add(&compressor->counters.bytes_out, packed->length);
    compressor->bytes = packed->bytes;
    compressor->length = packed->length;
}

/* Prepares what to publish; leaves `bytes` NULL for a gap. */
static void examine(struct compressor *compressor, uint64_t (*now)(void *context), void *context)
{
    struct channel_frame frame;

    channel_frame_get(compressor->options.source, compressor->next, &frame);
    if (frame.length == 0)
        return;
    compressor->bytes = frame.bytes + frame.header_length;
    compressor->length = frame.length - frame.header_length;
    compressor->ingest_ns = frame.ingest_ns;
    if (message_is_json(compressor->bytes, compressor->length))
        compress(compressor, now, context);
}

static void wake_readers(const struct compressor *compressor)
{
    for (unsigned i = 0; i < compressor->options.waker_count; i++)
        waker_wake(compressor->options.wakers[i], NULL);
}

static void count(struct compressor *compressor)
{
    counter_add(&compressor->counters.messages, 1);
    if (compressor->bytes != compressor->packed.bytes)
        counter_add(&compressor->counters.passed_on, 1);
}

/* False if the target has no room now. */
static bool publish(struct compressor *compressor)
{
    struct channel *target = compressor->options.target;
    uint64_t floor = channel_floor(target);
    int error = channel_append(target, compressor->next, WS_BINARY, compressor->bytes, compressor->length, compressor->ingest_ns);

    if (!error || channel_floor(target) > floor) /* readers that sleep must let go of what is below it */
        wake_readers(compressor);
    if (error == -ENOSPC) {
        if (!compressor->waiting)
            counter_add(&compressor->counters.no_room, 1);
        compressor->waiting = true;
        return false;
    }
    if (error != 0) {
        log_line(LOG_ERROR, "compressor", "dropped a message of %zu bytes: the log can never hold it", compressor->length);
    } else {
        count(compressor);
    }
    move_on(compressor);
    return true;
}

static bool has_unread(const struct compressor *compressor)
{
    return compressor->next <= channel_head(compressor->options.source);
}

bool compressor_turn(struct compressor *compressor, uint64_t (*now)(void *context), void *context)
{
    if (!compressor->bytes) {
        if (!has_unread(compressor))
            return false;
        examine(compressor, now, context);
    }
    if (compressor->bytes)
        return publish(compressor);
    move_on(compressor);
    return true;
}

/* --- sleep --- */

static void call(struct compressor *compressor)
{
    atomic_store(&compressor->called, 1);
    syscall(SYS_futex, &compressor->called, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wake_worker(struct waker *waker, struct waker *from)
{
    (void)from;
    call(LIST_ENTRY(waker, struct compressor, waker));
}

struct waker *compressor_waker(struct compressor *compressor)
{
    return &compressor->waker;
}

void compressor_wake(struct compressor *compressor)
{
    call(compressor);
}

/* What came between the last turn and the announcement of the sleep was woken for in vain: so look once more. */
void compressor_wait(struct compressor *compressor, int timeout_ms)
{
    int most_ms = compressor->bytes && timeout_ms > RETRY_MS ? RETRY_MS : timeout_ms;
    struct timespec timeout = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * (long)NS_PER_MS};

    waker_prepare_sleep(&compressor->waker);
    if (compressor->bytes ? !publish(compressor) : !has_unread(compressor))
        syscall(SYS_futex, &compressor->called, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
    waker_end_sleep(&compressor->waker);
    atomic_exchange(&compressor->called, 0);
}

/* --- life --- */

int compressor_create(struct compressor **out, const struct compressor_options *options)
{
    struct compressor *compressor = aligned_alloc(_Alignof(struct compressor), sizeof *compressor);

    if (!compressor)
        return -ENOMEM;
    memset(compressor, 0, sizeof *compressor);
    waker_init(&compressor->waker, wake_worker);
    compressor->options = *options;
    if (brotli_arena_create(&compressor->arena) ||
        message_buffer_init(&compressor->packed, brotli_compressed_limit(options->max_message_bytes))) {
        compressor_destroy(compressor);
        return -ENOMEM;
    }
    compressor->next = channel_reader_join(options->source, options->reader);
    *out = compressor;
    return 0;
}

void compressor_destroy(struct compressor *compressor)
{
    if (!compressor)
        return;
    brotli_arena_destroy(compressor->arena);
    message_buffer_dispose(&compressor->packed);
    free(compressor);
}

const struct compressor_counters *compressor_counters_get(const struct compressor *compressor)
{
    return &compressor->counters;
}
