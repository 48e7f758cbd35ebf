#include "ingest/upstream.h"

#include "flashrelay/log.h"
#include "ingest/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- waiting --- */

uint64_t upstream_wait(struct upstream *upstream, uint64_t now_ns)
{
    uint64_t wait_ns = backoff_next(&upstream->backoff, &upstream->ingest->random);

    upstream->state = UPSTREAM_WAITING;
    upstream->deadline_ns = now_ns + wait_ns;
    return wait_ns / NS_PER_MS;
}

static void fail_attempt(struct upstream *upstream, uint64_t now_ns)
{
    uint64_t wait_ms = upstream_wait(upstream, now_ns);

    counter_add(&upstream->counters.failures, 1);
    counter_add(&upstream->counters.errors, 1);
    log_line(LOG_WARN, "upstream", "cannot connect to %s: %s; next attempt in %" PRIu64 " ms", upstream->uri->display,
             upstream->problem, wait_ms);
}

/* --- connecting --- */

static bool connect_to(struct upstream *upstream, const struct address *address, uint64_t now_ns)
{
    struct ingest *ingest = upstream->ingest;

    if (upstream->uri->tls && tls_client_create(&upstream->tls, ingest->tls, upstream->uri->host) != 0) {
        snprintf(upstream->problem, sizeof upstream->problem, "no memory for TLS");
        return false;
    }
    upstream->connection = engine_connect(ingest->engine, address, upstream);
    if (!upstream->connection) {
        upstream_detach(upstream);
        snprintf(upstream->problem, sizeof upstream->problem, "no connection is free");
        return false;
    }
    upstream->connection_id = ++ingest->connections;
    upstream->fin_pending = false;
    upstream->state = UPSTREAM_CONNECTING;
    upstream->deadline_ns = now_ns + INGEST_CONNECT_TIMEOUT_NS;
    return true;
}

void upstream_connect_next(struct upstream *upstream, uint64_t now_ns)
{
    while (upstream->address_next < upstream->address_count)
        if (connect_to(upstream, &upstream->addresses[upstream->address_next++], now_ns))
            return;
    fail_attempt(upstream, now_ns);
}

static void look_up_host(struct upstream *upstream, uint64_t now_ns)
{
    int error = resolver_start(upstream->resolver, upstream->uri->host, upstream->uri->port);

    if (error != 0) {
        snprintf(upstream->problem, sizeof upstream->problem, "%s",
                 error == -EBUSY ? "the look-up of its name has not ended yet" : "no thread for the look-up of its name");
        fail_attempt(upstream, now_ns);
        return;
    }
    upstream->state = UPSTREAM_RESOLVING;
    upstream->deadline_ns = now_ns + INGEST_CONNECT_TIMEOUT_NS;
    upstream->next_poll_ns = now_ns + RESOLVER_POLL_NS;
}

void upstream_begin_attempt(struct upstream *upstream, uint64_t now_ns)
{
    counter_add(&upstream->counters.attempts, 1);
    upstream->address_next = 0;
    log_line(LOG_DEBUG, "upstream", "connecting to %s", upstream->uri->display);
    if (upstream->resolver)
        look_up_host(upstream, now_ns);
    else
        upstream_connect_next(upstream, now_ns);
}

void upstream_poll_resolver(struct upstream *upstream, uint64_t now_ns)
{
    struct resolver_answer answer;

    upstream->next_poll_ns = now_ns + RESOLVER_POLL_NS;
    if (resolver_take(upstream->resolver, &answer)) {
        upstream->address_count = answer.count;
        memcpy(upstream->addresses, answer.addresses, sizeof upstream->addresses);
        if (answer.count == 0)
            snprintf(upstream->problem, sizeof upstream->problem, "%s", answer.error);
        upstream_connect_next(upstream, now_ns);
    } else if (now_ns >= upstream->deadline_ns) {
        resolver_cancel(upstream->resolver);
        snprintf(upstream->problem, sizeof upstream->problem, "the look-up of its name took longer than %u s",
                 (unsigned)(INGEST_CONNECT_TIMEOUT_NS / NS_PER_S));
        fail_attempt(upstream, now_ns);
    }
}
