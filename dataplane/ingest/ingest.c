#include "flashrelay/ingest.h"

#include "flashrelay/log.h"
#include "ingest/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A wake-up announces room in the log; in case it does not come, the ingest looks for room this often. */
#define RETRY_NS (1 * NS_PER_MS)
/* An upstream may already have a new connection while the engine still ends the ones before. */
#define CONNECTIONS_PER_UPSTREAM 4

enum { RECEIVE_BUFFERS = 32, RECEIVE_BUFFER_BYTES = 128 << 10, SENDS_PER_TURN = 64 };

/* --- life --- */

static bool needs_tls(const struct ingest_options *options)
{
    for (unsigned i = 0; i < options->upstream_count; i++)
        if (options->upstreams[i].tls)
            return true;
    return false;
}

static int init_parts(struct ingest *ingest)
{
    const struct ingest_options *options = &ingest->options;
    int error = publisher_init(&ingest->publisher, options, &ingest->counters);

    for (unsigned i = 0; i < options->upstream_count && error == 0; i++)
        error = upstream_init(&ingest->upstreams[i], ingest, i);
    if (error != 0) {
        log_line(LOG_ERROR, "ingest", "no memory for %u upstreams", options->upstream_count);
    } else if (needs_tls(options)) {
        char text[512];

        error = tls_client_context_create(&ingest->tls, options->ca_file, text, sizeof text);
        if (error != 0)
            log_line(LOG_ERROR, "ingest", "%s", text);
    }
    return error;
}

int ingest_create(struct ingest **out, const struct ingest_options *options)
{
    struct ingest *ingest;
    int error;

    if (options->upstream_count == 0 || options->ping_interval_ns == 0 || options->pong_timeout_ns == 0) {
        log_line(LOG_ERROR, "ingest", "expected at least one upstream, and a ping interval and a pong time-out above 0");
        return -EINVAL;
    }
    ingest = calloc(1, sizeof *ingest + options->upstream_count * sizeof ingest->upstreams[0]);
    if (!ingest) {
        log_line(LOG_ERROR, "ingest", "no memory for %u upstreams", options->upstream_count);
        return -ENOMEM;
    }
    ingest->options = *options;
    random_seed(&ingest->random, options->seed);
    error = init_parts(ingest);
    if (error != 0) {
        ingest_destroy(ingest);
        return error;
    }
    *out = ingest;
    return 0;
}

void ingest_destroy(struct ingest *ingest)
{
    if (!ingest)
        return;
    for (unsigned i = 0; i < ingest->options.upstream_count; i++)
        upstream_dispose(&ingest->upstreams[i]);
    publisher_dispose(&ingest->publisher);
    tls_client_context_destroy(ingest->tls);
    free(ingest);
}

/* --- the engine's events; a connection without owner is one that its upstream let go --- */

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    if (connection->owner)
        upstream_connected(connection->owner, error, now_ns);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    (void)context;
    return connection->owner ? upstream_received(connection->owner, bytes, length, now_ns) : length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)progress;
    (void)now_ns;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    if (connection->owner)
        upstream_closed(connection->owner, error, now_ns);
}

/* Nothing to do: each turn looks for the work that a wake-up announces. */
static void on_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

static const struct engine_handler HANDLER = {
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

void ingest_engine_options(struct ingest *ingest, struct engine_options *options)
{
    options->handler = &HANDLER;
    options->context = ingest;
    options->max_connections = CONNECTIONS_PER_UPSTREAM * ingest->options.upstream_count;
    options->receive_buffers = RECEIVE_BUFFERS;
    options->receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    options->sends_per_turn = SENDS_PER_TURN;
}

void ingest_attach(struct ingest *ingest, struct engine *engine)
{
    ingest->engine = engine;
    ingest->publisher.waker = engine_waker(engine);
    atomic_store_explicit(&ingest->down_since_ns, engine_now(engine), memory_order_relaxed);
}

void ingest_count_open(struct ingest *ingest, bool opened, uint64_t now_ns)
{
    ingest->open = opened ? ingest->open + 1 : ingest->open - 1;
    atomic_store_explicit(&ingest->down_since_ns, ingest->open > 0 ? 0 : now_ns, memory_order_relaxed);
}

/* --- the turn --- */

static void note_if_stopped(struct ingest *ingest)
{
    for (unsigned i = 0; i < ingest->options.upstream_count; i++)
        if (ingest->upstreams[i].state != UPSTREAM_STOPPED)
            return;
    atomic_store_explicit(&ingest->stopped, true, memory_order_release);
}

/* If no upstream was open, all are stopped now; this is noted at once, because no event would follow. */
static void begin_stopping(struct ingest *ingest, uint64_t now_ns)
{
    if (ingest->stopping || !atomic_load_explicit(&ingest->stop_requested, memory_order_acquire))
        return;
    ingest->stopping = true;
    for (unsigned i = 0; i < ingest->options.upstream_count; i++)
        upstream_stop(&ingest->upstreams[i], now_ns);
    note_if_stopped(ingest);
}

static void publish_waiting(struct ingest *ingest, uint64_t now_ns)
{
    struct message *message;

    while ((message = publisher_retry(&ingest->publisher)))
        upstream_released(LIST_ENTRY(message, struct upstream, message), now_ns);
    ingest->retry_ns = now_ns + RETRY_NS;
}

static void begin_turns(struct ingest *ingest, uint64_t now_ns)
{
    for (unsigned i = 0; i < ingest->options.upstream_count; i++)
        upstream_begin_turn(&ingest->upstreams[i], now_ns);
}

static void tick_upstreams(struct ingest *ingest, uint64_t now_ns)
{
    for (unsigned i = 0; i < ingest->options.upstream_count; i++)
        upstream_tick(&ingest->upstreams[i], now_ns);
    note_if_stopped(ingest);
}

/*
 * Time-outs are checked after the turn's I/O, against the time that engine_turn returns: an upstream that had answered by then has been
 * heard, however long the thread was held up and however long its work took.
 */
void ingest_turn(struct ingest *ingest, uint64_t deadline_ns)
{
    uint64_t own_deadline_ns, now_ns, events_until_ns;

    assert(ingest->engine);
    engine_prepare_sleep(ingest->engine);
    now_ns = engine_now(ingest->engine);
    begin_stopping(ingest, now_ns);
    begin_turns(ingest, now_ns);
    publish_waiting(ingest, now_ns);
    own_deadline_ns = ingest_next_deadline(ingest);
    events_until_ns = engine_turn(ingest->engine, own_deadline_ns < deadline_ns ? own_deadline_ns : deadline_ns);
    tick_upstreams(ingest, events_until_ns);
}

uint64_t ingest_next_deadline(const struct ingest *ingest)
{
    uint64_t earliest = publisher_is_waiting(&ingest->publisher) ? ingest->retry_ns : CLOCK_NEVER;

    for (unsigned i = 0; i < ingest->options.upstream_count; i++) {
        uint64_t deadline = upstream_deadline(&ingest->upstreams[i]);

        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

/* --- any thread --- */

void ingest_stop(struct ingest *ingest)
{
    atomic_store_explicit(&ingest->stop_requested, true, memory_order_release);
    waker_wake(engine_waker(ingest->engine), NULL);
}

bool ingest_is_stopped(const struct ingest *ingest)
{
    return atomic_load_explicit(&ingest->stopped, memory_order_acquire);
}

const struct ingest_counters *ingest_counters_get(const struct ingest *ingest)
{
    return &ingest->counters;
}

const struct upstream_counters *ingest_upstream_counters(const struct ingest *ingest, unsigned upstream)
{
    assert(upstream < ingest->options.upstream_count);
    return &ingest->upstreams[upstream].counters;
}

uint64_t ingest_down_since_ns(const struct ingest *ingest)
{
    return atomic_load_explicit(&ingest->down_since_ns, memory_order_relaxed);
}
