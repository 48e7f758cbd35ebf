#include "flashrelay/log.h"

#include "base/log_sink.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define NOTE_BYTES 64 /* of a message, reserved for the note on suppressed lines */
#define MAX_SINKS  2

static struct log_sink sinks[MAX_SINKS] = {{.format = LOG_TEXT, .descriptor = STDERR_FILENO, .name = "log-0"}, {.name = "log-1"}};
static unsigned sink_count = 1;
static enum log_level threshold = LOG_INFO;
static uint64_t peer_seed; /* so that no peer can choose an address that shares another peer's budget */
static bool started;

void log_add_sink(enum log_format format, int descriptor)
{
    if (sink_count < MAX_SINKS)
        log_sink_init(&sinks[sink_count++], format, descriptor);
}

void log_configure(enum log_level level, enum log_format format, int descriptor)
{
    threshold = level;
    sink_count = 0;
    log_add_sink(format, descriptor);
}

/* --- threads --- */

/* Called in a forked child, which has no thread but the one that forked: its callers write their lines. */
static void forget_threads(void)
{
    started = false;
    for (unsigned i = 0; i < sink_count; i++)
        log_sink_forget_thread(&sinks[i]);
}

int log_start(void)
{
    static bool has_fork_handler;
    int error = 0;

    if (!has_fork_handler && pthread_atfork(NULL, NULL, forget_threads) != 0)
        return -ENOMEM;
    has_fork_handler = true;
    peer_seed = random_system_seed();
    started = true;
    for (unsigned i = 0; i < sink_count && error == 0; i++)
        error = log_sink_start(&sinks[i]);
    if (error != 0)
        log_stop();
    return error;
}

void log_stop(void)
{
    uint64_t give_up_at_ns = clock_monotonic_ns() + LOG_STOP_TIMEOUT_MS * NS_PER_MS;

    if (!started)
        return;
    started = false;
    for (unsigned i = 0; i < sink_count; i++)
        if (atomic_load(&sinks[i].is_queued))
            log_sink_begin_stop(&sinks[i], give_up_at_ns);
    for (unsigned i = 0; i < sink_count; i++)
        if (atomic_load(&sinks[i].is_queued))
            log_sink_finish_stop(&sinks[i]);
}

/* --- lines --- */

bool log_enabled(enum log_level level)
{
    return level <= threshold;
}

static void begin_window(struct log_site *site)
{
    atomic_store(&site->lines, 0);
    for (unsigned i = 0; site->peers && i < LOG_PEERS; i++)
        atomic_store_explicit(&site->peers->lines[i], 0, memory_order_relaxed);
}

/* True if the peer has not used up its share. */
static bool take_peer_line(struct log_peers *peers, const void *peer, size_t bytes)
{
    _Atomic uint8_t *lines = &peers->lines[XXH3_64bits_withSeed(peer, bytes, peer_seed) % LOG_PEERS];

    if (atomic_load_explicit(lines, memory_order_relaxed) >= LOG_PEER_LINES_PER_S)
        return false;
    atomic_fetch_add_explicit(lines, 1, memory_order_relaxed);
    return true;
}

static bool is_within_budget(struct log_site *site, const void *peer, size_t peer_bytes)
{
    if (!site->peers)
        return atomic_fetch_add(&site->lines, 1) < LOG_SITE_LINES_PER_S;
    return take_peer_line(site->peers, peer, peer_bytes) && atomic_fetch_add(&site->lines, 1) < LOG_EVENT_LINES_PER_S;
}

/* True if the line may be written; *suppressed is then the number of lines of its site that were suppressed since the last one. */
static bool take_site_line(struct log_site *site, const void *peer, size_t peer_bytes, uint32_t *suppressed)
{
    uint64_t start = atomic_load_explicit(&site->window_start_ns, memory_order_relaxed), now_ns = clock_monotonic_ns();

    if ((start == 0 || now_ns - start >= NS_PER_S) && atomic_compare_exchange_strong(&site->window_start_ns, &start, now_ns))
        begin_window(site);
    if (!is_within_budget(site, peer, peer_bytes)) {
        atomic_fetch_add(&site->suppressed, 1);
        return false;
    }
    *suppressed = atomic_exchange(&site->suppressed, 0);
    return true;
}

void log_write(struct log_site *site, const void *peer, size_t peer_bytes, enum log_level level, const char *module,
               const char *format, ...)
{
    char text[LOG_MESSAGE_BYTES];
    struct log_message message = {.level = level, .module = module, .text = text};
    uint32_t suppressed = 0;
    va_list arguments;
    size_t length;

    if (!take_site_line(site, peer, peer_bytes, &suppressed))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text - NOTE_BYTES, format, arguments);
    va_end(arguments);
    length = strlen(text);
    if (suppressed)
        snprintf(text + length, sizeof text - length, " (%u similar lines suppressed)", suppressed);
    message.time_ns = clock_realtime_ns();
    for (unsigned i = 0; i < sink_count; i++)
        log_sink_write(&sinks[i], &message);
}

/* --- figures --- */

uint64_t log_dropped_lines(void)
{
    uint64_t dropped = 0;

    for (unsigned i = 0; i < sink_count; i++)
        dropped += log_sink_dropped(&sinks[i]);
    return dropped;
}
