/*
 * Zero-copy sends of large runs from registered memory. They pay where a network card reads the bytes; on loopback the kernel copies after
 * all, which costs much more than a plain send, and reports it in the notification. So with ENGINE_ZEROCOPY_AUTO one connection tries first
 * while all others send copies, and as long as the kernel copies this is tried again at intervals.
 */
#include "engine/extents.h"
#include "engine/uring/uring.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Shorter runs are copied: for them that is cheaper than pinning frames and handling a notification. */
#define MIN_ZEROCOPY_BYTES ((size_t)32 << 10)
/*
 * ENGINE_ZEROCOPY_AUTO gives up after COPIED_LIMIT sends in a row that were copied, and tries again after TRIAL_INTERVAL_NS, or after
 * NO_NOTIFICATION_NS if the notification of a trial does not come.
 */
#define COPIED_LIMIT       8
#define TRIAL_INTERVAL_NS  (10 * NS_PER_S)
#define NO_NOTIFICATION_NS (1 * NS_PER_S)

void uring_add_channel(struct engine *base, const struct channel *channel)
{
    const uint8_t *bytes;
    size_t length;

    channel_memory(channel, &bytes, &length);
    if (!uring_of(base)->enabled)
        uring_regions_add(&uring_of(base)->regions, bytes, length);
}

/* Switches zero-copy sends off. Logged once per process, because the rings of all threads meet the same limit. */
static void give_up_for_refusal(struct uring_engine *engine, int error)
{
    static _Atomic bool explained;

    engine->zerocopy.enabled = false;
    if (!atomic_exchange_explicit(&explained, true, memory_order_relaxed))
        log_line(LOG_WARN, "uring",
                 "no zero-copy sends: the log's memory can't be registered (%s); raise the limit of locked memory "
                 "(ulimit -l) or use --zerocopy=off",
                 strerror(-error));
}

void uring_zerocopy_start(struct uring_engine *engine)
{
    struct uring_zerocopy *zerocopy = &engine->zerocopy;
    enum engine_zerocopy wanted = engine->base.options.zerocopy;
    int error;

    if (wanted == ENGINE_ZEROCOPY_OFF || engine->regions.count == 0 || !engine->features.zerocopy_send ||
        (wanted == ENGINE_ZEROCOPY_AUTO && !engine->features.zerocopy_report))
        return;
    error = uring_regions_open(engine);
    if (error != 0) {
        give_up_for_refusal(engine, error);
        return;
    }
    zerocopy->enabled = true;
    zerocopy->reports_copies = engine->features.zerocopy_report;
}

static bool is_automatic(const struct uring_engine *engine)
{
    return engine->base.options.zerocopy == ENGINE_ZEROCOPY_AUTO;
}

/* True if the next send may be zero-copy: because the option demands it, because it pays, or to find out whether it does. */
static bool may_send(const struct uring_engine *engine)
{
    const struct uring_zerocopy *zerocopy = &engine->zerocopy;

    return zerocopy->enabled && (!is_automatic(engine) || zerocopy->is_used || engine->now_ns >= zerocopy->next_trial_ns);
}

static int find_free_pin(const struct uring_connection *connection)
{
    for (int i = 0; i < URING_PINS; i++) {
        if (connection->pins[i] == HOLDS_NONE)
            return i;
    }
    return -1;
}

static void update_pin(struct uring_engine *engine, struct uring_connection *connection)
{
    uint64_t lowest = HOLDS_NONE;

    for (unsigned i = 0; i < URING_PINS; i++)
        lowest = connection->pins[i] < lowest ? connection->pins[i] : lowest;
    extents_pin(&engine->base, &connection->base, lowest);
}

bool uring_zerocopy_prepare(struct uring_engine *engine, struct uring_connection *connection, const uint8_t *bytes, size_t length)
{
    const struct extent *extent = &connection->base.extents[0];
    struct io_uring_sqe *submission;
    int pin = find_free_pin(connection), buffer;

    if (pin < 0 || length < MIN_ZEROCOPY_BYTES || !may_send(engine) || connection->copies_only || extent->kind != EXTENT_FRAMES)
        return false;
    buffer = uring_regions_find(engine, bytes, length);
    if (buffer < 0) {
        if (buffer != -ENOENT)
            give_up_for_refusal(engine, buffer);
        return false;
    }
    submission = uring_submission(engine);
    io_uring_prep_send_zc_fixed(submission, connection->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                                engine->zerocopy.reports_copies ? IORING_SEND_ZC_REPORT_USAGE : 0, (unsigned)buffer);
    uring_tag(engine, connection, submission, URING_SEND_ZEROCOPY + (unsigned)pin);
    connection->pins[pin] = extent->from;
    update_pin(engine, connection); /* from now on the kernel may read the frames, also after an abort */
    engine->zerocopy.next_trial_ns = engine->now_ns + NO_NOTIFICATION_NS;
    counter_add(&engine->base.counters.zerocopy_sends, 1);
    return true;
}

static void note_notification(struct uring_engine *engine, bool copied)
{
    struct uring_zerocopy *zerocopy = &engine->zerocopy;
    bool is_used = !copied || (zerocopy->is_used && zerocopy->copied_in_row + 1 < COPIED_LIMIT);

    if (copied)
        counter_add(&engine->base.counters.zerocopy_copied, 1);
    zerocopy->copied_in_row = copied ? zerocopy->copied_in_row + 1 : 0;
    if (!is_used)
        zerocopy->next_trial_ns = engine->now_ns + TRIAL_INTERVAL_NS;
    if (is_automatic(engine) && (is_used != zerocopy->is_used || zerocopy->copied_in_row == 1))
        log_line(LOG_INFO, "uring", "zero-copy sends are %s",
                 is_used ? "on" : "off: the kernel copies (loopback, or a card that can't)");
    zerocopy->is_used = is_used;
}

/*
 * The kernel has no memory to keep account of the pages, which is no failure of the connection: switches zero-copy sends off. Returns the
 * result on which uring_sent sends again, then by copying.
 */
static int give_up_for_memory(struct uring_engine *engine, int error)
{
    log_line(LOG_WARN, "uring", "zero-copy sends are off: %s", strerror(-error));
    engine->zerocopy.enabled = false;
    return -EINTR;
}

void uring_zerocopy_done(struct uring_engine *engine, struct uring_connection *connection, unsigned pin, int result,
                         unsigned flags)
{
    if (flags & IORING_CQE_F_NOTIF) {
        connection->pins[pin] = HOLDS_NONE;
        update_pin(engine, connection);
        if (engine->zerocopy.reports_copies)
            note_notification(engine, (unsigned)result & IORING_NOTIF_USAGE_ZC_COPIED);
        uring_finish_proceed(engine, connection);
        uring_report_end(engine, connection);
        return;
    }
    if (!(flags & IORING_CQE_F_MORE))
        connection->pins[pin] = HOLDS_NONE;
    update_pin(engine, connection);
    if (result == -ENOMEM || result == -ENOBUFS)
        result = give_up_for_memory(engine, result);
    if (result == -EOPNOTSUPP) { /* as sockets of MPTCP answer */
        connection->copies_only = true;
        result = -EINTR; /* uring_sent sends again */
    }
    uring_sent(engine, connection, result);
    uring_report_end(engine, connection);
}
