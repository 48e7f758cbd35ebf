#include "ingest/upstream.h"

#include "flashrelay/log.h"
#include "flashrelay/random.h"
#include "ingest/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- life --- */

static void init_message(struct upstream *upstream)
{
    list_init(&upstream->message.waiting_node);
    upstream->message.counters = &upstream->counters;
    upstream->message.name = upstream->uri->display;
}

static int init_addresses(struct upstream *upstream)
{
    struct address *address = &upstream->addresses[0];

    address->port = upstream->uri->port;
    if (ip_address_parse(&address->ip, upstream->uri->host, strlen(upstream->uri->host)) != 0)
        return resolver_create(&upstream->resolver);
    upstream->address_count = 1;
    return 0;
}

/* A random number from the kernel, because nobody else may be able to foresee keys and masks (RFC 6455, 10.3). */
static uint64_t next_random(void *context)
{
    (void)context;
    return random_system_seed();
}

int upstream_init(struct upstream *upstream, struct ingest *ingest, unsigned index)
{
    const struct ingest_options *options = &ingest->options;
    const struct ws_uri *uri = &options->upstreams[index];
    size_t largest = options->max_message_bytes;

    *upstream = (struct upstream){
        .ingest = ingest,
        .uri = uri,
        .client_options = {.uri = uri, .max_message_bytes = largest, .next_random = next_random},
        .state = UPSTREAM_WAITING,
    };
    init_message(upstream);
    backoff_init(&upstream->backoff, options->max_backoff_ns);
    budget_init(&upstream->budget);
    if (upstream->uri->tls && !(upstream->plain = malloc(UPSTREAM_PLAIN_BYTES)))
        return -ENOMEM;
    if (init_addresses(upstream) != 0 ||
        message_buffer_init(&upstream->buffer, largest > WS_CLIENT_HEAD_BYTES ? largest : WS_CLIENT_HEAD_BYTES) != 0) {
        upstream_dispose(upstream);
        return -ENOMEM;
    }
    return 0;
}

void upstream_dispose(struct upstream *upstream)
{
    resolver_destroy(upstream->resolver);
    tls_client_destroy(upstream->tls);
    message_buffer_dispose(&upstream->buffer);
    free(upstream->plain);
    upstream->resolver = NULL;
    upstream->tls = NULL;
    upstream->buffer = (struct message_buffer){0};
    upstream->plain = NULL;
}

bool upstream_has_waiting_message(const struct upstream *upstream)
{
    return !list_is_empty(&upstream->message.waiting_node);
}

/* --- an open connection --- */

void upstream_opened(struct upstream *upstream, uint64_t now_ns)
{
    const struct ingest_options *options = &upstream->ingest->options;
    char text[ADDRESS_TEXT_BYTES];

    upstream->state = UPSTREAM_OPEN;
    upstream->opened_ns = now_ns;
    heartbeat_start(&upstream->heartbeat, options->ping_interval_ns, options->pong_timeout_ns, now_ns);
    counter_add(&upstream->counters.successes, 1);
    counter_set(&upstream->counters.connected, 1);
    ingest_count_open(upstream->ingest, true, now_ns);
    log_line(LOG_INFO, "upstream", "connected to %s at %s", upstream->uri->display,
             address_format(&upstream->addresses[upstream->address_next - 1], text));
}

/* The connection is open no more, which counts as an error unless the ingest is stopping. */
static void leave_open(struct upstream *upstream, uint64_t now_ns)
{
    counter_set(&upstream->counters.connected, 0);
    ingest_count_open(upstream->ingest, false, now_ns);
    if (!upstream->ingest->stopping)
        counter_add(&upstream->counters.errors, 1);
    if (now_ns - upstream->opened_ns >= INGEST_STABLE_NS)
        backoff_reset(&upstream->backoff);
}

/* True if bytes were read in this turn, or reading is paused: a pong may be among the bytes that follow. */
static bool is_being_read(const struct upstream *upstream, uint64_t now_ns)
{
    return upstream->paused || upstream->read_ns >= now_ns;
}

static void poll_heartbeat(struct upstream *upstream, uint64_t now_ns)
{
    switch (heartbeat_poll(&upstream->heartbeat, now_ns)) {
    case HEARTBEAT_NONE:
        break;
    case HEARTBEAT_PING:
        if (upstream_send_control(upstream, WS_PING, NULL, 0))
            counter_add(&upstream->counters.pings_sent, 1);
        break;
    case HEARTBEAT_DEAD:
        if (is_being_read(upstream, now_ns) && heartbeat_extend_once(&upstream->heartbeat, now_ns))
            break;
        counter_add(&upstream->counters.pongs_missed, 1);
        upstream_drop(upstream, now_ns, "it did not answer our ping in time");
        break;
    }
}

/* --- the end of a connection --- */

void upstream_detach(struct upstream *upstream)
{
    if (upstream->connection) {
        upstream->connection->owner = NULL;
        engine_abort(upstream->ingest->engine, upstream->connection);
        upstream->connection = NULL;
    }
    tls_client_destroy(upstream->tls);
    upstream->tls = NULL;
    upstream->plain_length = upstream->plain_taken = 0;
    upstream->paused = false;
    if (!upstream_has_waiting_message(upstream))
        message_buffer_clear(&upstream->buffer);
}

/* Enters the final state, in which the upstream connects no more. */
static void enter_stopped(struct upstream *upstream)
{
    publisher_withdraw(&upstream->message);
    upstream->state = UPSTREAM_STOPPED;
}

/* Logs nothing: the reason was logged when closing began. */
static void end_closing(struct upstream *upstream, uint64_t now_ns)
{
    upstream_detach(upstream);
    if (upstream->ingest->stopping)
        enter_stopped(upstream);
    else
        upstream_wait(upstream, now_ns);
}

static void fail_address(struct upstream *upstream, uint64_t now_ns, const char *problem)
{
    char text[ADDRESS_TEXT_BYTES];

    address_format(&upstream->addresses[upstream->address_next - 1], text);
    snprintf(upstream->problem, sizeof upstream->problem, "%s: %s", text, problem);
    log_line(LOG_DEBUG, "upstream", "%s: %s", upstream->uri->display, upstream->problem);
    upstream_detach(upstream);
    upstream_connect_next(upstream, now_ns);
}

static void reconnect_later(struct upstream *upstream, uint64_t now_ns, const char *problem)
{
    uint64_t wait_ms;

    leave_open(upstream, now_ns);
    upstream_detach(upstream);
    wait_ms = upstream_wait(upstream, now_ns);
    log_line(LOG_WARN, "upstream", "lost %s: %s; next attempt in %" PRIu64 " ms", upstream->uri->display, problem, wait_ms);
}

void upstream_drop(struct upstream *upstream, uint64_t now_ns, const char *format, ...)
{
    char problem[sizeof upstream->problem - ADDRESS_TEXT_BYTES - 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
    switch (upstream->state) {
    case UPSTREAM_CONNECTING:
    case UPSTREAM_SECURING:
    case UPSTREAM_UPGRADING:
        fail_address(upstream, now_ns, problem);
        break;
    case UPSTREAM_OPEN:
        reconnect_later(upstream, now_ns, problem);
        break;
    case UPSTREAM_CLOSING:
        end_closing(upstream, now_ns);
        break;
    case UPSTREAM_WAITING:
    case UPSTREAM_RESOLVING:
    case UPSTREAM_STOPPED:
        break;
    }
}

/* The close handshake has begun on an open connection. */
static void begin_closing(struct upstream *upstream, uint64_t now_ns)
{
    leave_open(upstream, now_ns);
    upstream->state = UPSTREAM_CLOSING;
    upstream->deadline_ns = now_ns + UPSTREAM_CLOSE_TIMEOUT_NS;
}

void upstream_close(struct upstream *upstream, uint16_t code, const char *reason, uint64_t now_ns)
{
    log_line(upstream->ingest->stopping ? LOG_INFO : LOG_WARN, "upstream", "closing %s with %u: %s", upstream->uri->display, code,
             reason);
    begin_closing(upstream, now_ns);
    if (!upstream_send_close(upstream, code, reason))
        end_closing(upstream, now_ns);
}

void upstream_close_answered(struct upstream *upstream, const struct ws_event *event, uint64_t now_ns)
{
    log_line(LOG_WARN, "upstream", "%s closed with %u: %.*s", upstream->uri->display, event->code, (int)event->length,
             (const char *)event->bytes);
    begin_closing(upstream, now_ns);
    if (upstream_send_close(upstream, event->code, ""))
        upstream_finish(upstream);
    else
        end_closing(upstream, now_ns);
}

void upstream_closed(struct upstream *upstream, int error, uint64_t now_ns)
{
    upstream->connection = NULL;
    upstream_drop(upstream, now_ns, "%s", error != 0 ? strerror(-error) : "the connection ended");
}

void upstream_stop(struct upstream *upstream, uint64_t now_ns)
{
    switch (upstream->state) {
    case UPSTREAM_OPEN:
        upstream_close(upstream, WS_CLOSE_GOING_AWAY, "the relay is shutting down", now_ns);
        break;
    case UPSTREAM_RESOLVING:
        resolver_cancel(upstream->resolver);
        enter_stopped(upstream);
        break;
    case UPSTREAM_WAITING:
    case UPSTREAM_CONNECTING:
    case UPSTREAM_SECURING:
    case UPSTREAM_UPGRADING:
        upstream_detach(upstream);
        enter_stopped(upstream);
        break;
    case UPSTREAM_CLOSING:
    case UPSTREAM_STOPPED:
        break;
    }
}

/* --- deadlines --- */

void upstream_tick(struct upstream *upstream, uint64_t now_ns)
{
    if (now_ns < upstream_deadline(upstream))
        return;
    switch (upstream->state) {
    case UPSTREAM_WAITING:
        upstream_begin_attempt(upstream, now_ns);
        break;
    case UPSTREAM_RESOLVING:
        upstream_poll_resolver(upstream, now_ns);
        break;
    case UPSTREAM_CONNECTING:
    case UPSTREAM_SECURING:
    case UPSTREAM_UPGRADING:
        upstream_drop(upstream, now_ns, "connecting took longer than %u s", (unsigned)(INGEST_CONNECT_TIMEOUT_NS / NS_PER_S));
        break;
    case UPSTREAM_OPEN:
        poll_heartbeat(upstream, now_ns);
        break;
    case UPSTREAM_CLOSING:
        end_closing(upstream, now_ns);
        break;
    case UPSTREAM_STOPPED:
        break;
    }
}

/* When to ping, to give up, or to read on. While a message waits there is no deadline: publisher_retry ends that. */
static uint64_t deadline_of_open(const struct upstream *upstream)
{
    uint64_t beat_ns = heartbeat_deadline(&upstream->heartbeat), budget_ns;

    if (upstream_has_waiting_message(upstream))
        return CLOCK_NEVER;
    budget_ns = upstream->paused ? budget_deadline(&upstream->budget) : CLOCK_NEVER;
    return budget_ns < beat_ns ? budget_ns : beat_ns;
}

uint64_t upstream_deadline(const struct upstream *upstream)
{
    switch (upstream->state) {
    case UPSTREAM_WAITING:
        return upstream_has_waiting_message(upstream) ? CLOCK_NEVER : upstream->deadline_ns;
    case UPSTREAM_RESOLVING:
        return upstream->next_poll_ns;
    case UPSTREAM_OPEN:
        return deadline_of_open(upstream);
    case UPSTREAM_STOPPED:
        return CLOCK_NEVER;
    default:
        return upstream->deadline_ns;
    }
}
