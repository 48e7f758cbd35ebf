/*
 * The ingest: one thread that keeps every upstream connected, reassembles messages, drops what another upstream brought
 * already, and publishes the rest to the log. Its thread calls ingest_turn in a loop; the simulator calls it when it likes.
 */
#ifndef FLASHRELAY_INGEST_H
#define FLASHRELAY_INGEST_H

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/counter.h"
#include "flashrelay/engine.h"
#include "flashrelay/histogram.h"
#include "flashrelay/ws_uri.h"

#define INGEST_CONNECT_TIMEOUT_NS (5 * NS_PER_S) /* each address, TLS and upgrade included */
#define INGEST_BACKOFF_FIRST_NS   (500 * NS_PER_MS)
#define INGEST_STABLE_NS          (10 * NS_PER_S) /* a connection this old resets the back-off */
#define INGEST_PONG_GRACE_NS      (5 * NS_PER_S)
#define INGEST_RECENT_NS          (10 * NS_PER_S) /* how long a message is remembered */
#define INGEST_RECENT_ENTRIES     4096

/* What is taken from each upstream per turn; the rest has to wait for the next one. */
#define INGEST_FRAMES_PER_TURN         256
#define INGEST_UNPACKED_BYTES_PER_TURN (4u << 20)
/* Messages that are taken from each upstream: so many at once, and so many per second after that. */
#define INGEST_MESSAGES_AT_ONCE 1024
#define INGEST_MESSAGES_PER_S   4096

/* One upstream's figures. Written by the ingest thread. */
struct upstream_counters {
    counter messages, bytes;                       /* data messages received whole */
    counter connected;                             /* 0 or 1, now */
    counter attempts, successes, failures, errors; /* errors: failures, and connections lost once they were established */
    counter duplicates;                            /* already brought by another */
    counter first;                                 /* brought first, where several are configured */
    counter too_big, invalid;                      /* messages: over the limit, as they came or as JSON; brotli that is none */
    counter pings_sent, pongs_missed;
    struct histogram behind_ns; /* how much later a duplicate came */
};

struct ingest_counters {
    counter published, published_bytes;
    counter no_room; /* messages that had to wait for room in the log */
    counter reader_wakeups;
};

struct ingest_options {
    const struct ws_uri *upstreams;
    unsigned upstream_count;
    const char *ca_file;     /* --upstream-ca, or NULL: the system's roots */
    struct channel *channel; /* where messages go as they came, or as JSON if decompress */
    bool decompress;         /* brotli from upstream is published as JSON */
    struct waker **wakers;   /* of who reads the channel, woken after each publish */
    unsigned waker_count;
    uint64_t max_message_bytes; /* as it comes, and as JSON */
    uint64_t max_backoff_ns;
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint64_t seed;   /* of the back-off's jitter, which upstreams can see */
    uint64_t secret; /* of the identities by which copies are known: drawn at start, nobody else may know it */
};

struct ingest;

int ingest_create(struct ingest **out, const struct ingest_options *options);
/* After the engine's destruction. */
void ingest_destroy(struct ingest *ingest);

/* Fills handler, context and sizes of the options of the ingest's engine. */
void ingest_engine_options(struct ingest *ingest, struct engine_options *options);
void ingest_attach(struct ingest *ingest, struct engine *engine);

/* One turn: I/O, then time-outs, reconnects and what waits for room. Sleeps at most until `deadline_ns`. */
void ingest_turn(struct ingest *ingest, uint64_t deadline_ns);
uint64_t ingest_next_deadline(const struct ingest *ingest);

/* Closes all upstreams with 1001 and connects no more. Any thread. */
void ingest_stop(struct ingest *ingest);
/* True once all are closed. Any thread. */
bool ingest_is_stopped(const struct ingest *ingest);

const struct ingest_counters *ingest_counters_get(const struct ingest *ingest);
const struct upstream_counters *ingest_upstream_counters(const struct ingest *ingest, unsigned upstream);

/* Since when no upstream is connected (monotonic ns), or 0 while one is. Any thread. */
uint64_t ingest_down_since_ns(const struct ingest *ingest);

#endif
