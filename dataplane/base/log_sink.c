#include "base/log_sink.h"

#include "flashrelay/clock.h"
#include "flashrelay/list.h"
#include "flashrelay/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* How often a thread whose descriptor takes nothing checks whether it is to stop. */
#define BLOCKED_POLL_MS 100
/* How often log_sink_finish_stop checks whether the thread has ended, and for how long after the thread should have ended. */
#define END_POLL_NS    NS_PER_MS
#define END_TIMEOUT_NS (500 * NS_PER_MS)

static void wake(struct waker *waker, struct waker *from)
{
    (void)from;
    sem_post(&LIST_ENTRY(waker, struct log_sink, waker)->wakeup);
}

void log_sink_init(struct log_sink *sink, enum log_format format, int descriptor)
{
    sink->format = format;
    sink->descriptor = descriptor;
    atomic_store(&sink->stopping, false);
}

/* --- writing --- */

/* True if the thread was told to stop and has waited long enough for its descriptor. */
static bool must_give_up(const struct log_sink *sink)
{
    return atomic_load(&sink->stopping) && clock_monotonic_ns() >= atomic_load(&sink->give_up_at_ns);
}

/* Waits until the descriptor has room; it then takes a whole line, which is at most a page of a pipe. False if the thread gives up. */
static bool wait_writable(const struct log_sink *sink)
{
    struct pollfd room = {.fd = sink->descriptor, .events = POLLOUT};
    bool is_last_look;

    do {
        is_last_look = must_give_up(sink);
        if (poll(&room, 1, is_last_look ? 0 : BLOCKED_POLL_MS) > 0)
            return true;
    } while (!is_last_look);
    return false;
}

/* Writes `length` bytes; false after an error or if the thread gives up, and then only a part may be written. */
static bool write_all(const struct log_sink *sink, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written;

        if (!wait_writable(sink))
            return false;
        written = write(sink->descriptor, bytes, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

static void write_message(struct log_sink *sink, const struct log_message *message)
{
    char line[LOG_LINE_BYTES];
    size_t length = log_format_line(line, sink->format, message);

    if (!write_all(sink, line, length))
        atomic_fetch_add_explicit(&sink->unwritten, 1, memory_order_relaxed);
}

static void write_dropped(struct log_sink *sink, uint32_t dropped, uint64_t time_ns)
{
    char text[LOG_MESSAGE_BYTES];
    const struct log_message message = {.time_ns = time_ns, .level = LOG_WARN, .module = "log", .text = text};

    if (dropped == 0)
        return;
    snprintf(text, sizeof text, "%u lines dropped here: the reader of the log does not keep up", dropped);
    write_message(sink, &message);
}

/* --- the thread --- */

static void write_record(struct log_sink *sink, const struct log_record *record)
{
    const struct log_message message = {
        .time_ns = record->time_ns, .level = (enum log_level)record->level, .module = record->module, .text = record->text};

    write_dropped(sink, record->dropped, record->time_ns);
    write_message(sink, &message);
}

static void write_queued(struct log_sink *sink)
{
    struct log_record *record;

    while ((record = log_queue_first(&sink->queue))) {
        write_record(sink, record);
        log_queue_pop(&sink->queue, record);
    }
    write_dropped(sink, log_queue_take_unreported(&sink->queue), clock_realtime_ns());
}

static void sleep_until_woken(struct log_sink *sink)
{
    waker_prepare_sleep(&sink->waker);
    if (log_queue_first(&sink->queue) || atomic_load(&sink->stopping)) {
        waker_end_sleep(&sink->waker);
        return;
    }
    while (sem_wait(&sink->wakeup) != 0)
        continue; /* interrupted */
}

static void *run(void *context)
{
    struct log_sink *sink = context;

    thread_register(sink->name);
    for (;;) {
        bool stopping = atomic_load(&sink->stopping); /* read before the queue, so that no earlier line is missed */

        write_queued(sink);
        if (stopping)
            break;
        sleep_until_woken(sink);
    }
    thread_unregister();
    atomic_store(&sink->ended, true);
    return NULL;
}

int log_sink_start(struct log_sink *sink)
{
    int error;

    atomic_store(&sink->ended, false);
    waker_init(&sink->waker, wake);
    sem_init(&sink->wakeup, 0, 0);
    error = pthread_create(&sink->thread, NULL, run, sink);
    atomic_store(&sink->is_queued, error == 0);
    return -error;
}

void log_sink_forget_thread(struct log_sink *sink)
{
    atomic_store(&sink->is_queued, false);
    atomic_store(&sink->pushing, 0); /* of the parent's threads */
}

void log_sink_begin_stop(struct log_sink *sink, uint64_t give_up_at_ns)
{
    atomic_store(&sink->give_up_at_ns, give_up_at_ns);
    atomic_store(&sink->stopping, true);
    waker_wake(&sink->waker, NULL);
}

void log_sink_finish_stop(struct log_sink *sink)
{
    const struct timespec pause = {.tv_nsec = END_POLL_NS};
    uint64_t end_ns = atomic_load(&sink->give_up_at_ns) + END_TIMEOUT_NS;

    while (!atomic_load(&sink->ended) && clock_monotonic_ns() < end_ns)
        nanosleep(&pause, NULL);
    if (!atomic_load(&sink->ended)) {
        pthread_detach(sink->thread); /* it hangs in write(2); lines still go to its queue, so that no other thread hangs there */
        return;
    }
    pthread_join(sink->thread, NULL);
    atomic_store(&sink->is_queued, false);
    while (atomic_load(&sink->pushing) > 0)
        nanosleep(&pause, NULL);
    write_queued(sink); /* pushed after the thread's last look at the queue */
    sem_destroy(&sink->wakeup);
}

/* --- for all threads --- */

void log_sink_write(struct log_sink *sink, const struct log_message *message)
{
    bool is_queued;

    atomic_fetch_add(&sink->pushing, 1);
    is_queued = atomic_load(&sink->is_queued);
    if (is_queued) {
        log_queue_push(&sink->queue, message);
        waker_wake(&sink->waker, NULL);
    }
    atomic_fetch_sub(&sink->pushing, 1);
    if (!is_queued)
        write_message(sink, message);
}

uint64_t log_sink_dropped(const struct log_sink *sink)
{
    return atomic_load_explicit(&sink->queue.dropped, memory_order_relaxed) +
           atomic_load_explicit(&sink->unwritten, memory_order_relaxed);
}
