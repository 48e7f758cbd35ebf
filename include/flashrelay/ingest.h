/*
 * The ingest: one thread that keeps every upstream connected, reassembles messages, drops copies of messages that another connection brought
 * before, and publishes the rest to the log. Its thread calls ingest_turn in a loop; the simulator calls it when it likes.
 *
 * Functions without a word on threads are called by the ingest's thread, or before it starts and after it ended.
 */
#ifndef FLASHRELAY_INGEST_H
#define FLASHRELAY_INGEST_H

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/counter.h"
#include "flashrelay/engine.h"
#include "flashrelay/histogram.h"
#include "flashrelay/ws_uri.h"

#define INGEST_CONNECT_TIMEOUT_NS (5 * NS_PER_S) /* per address: TCP, TLS and upgrade; as long for the look-up of the name */
#define INGEST_BACKOFF_FIRST_NS   (500 * NS_PER_MS)
#define INGEST_STABLE_NS          (10 * NS_PER_S) /* a connection that was open this long resets the back-off */
#define INGEST_PONG_GRACE_NS      (5 * NS_PER_S)
#define INGEST_RECENT_NS          (10 * NS_PER_S) /* how long a message is remembered, to find copies */
#define INGEST_RECENT_ENTRIES     4096

/* What is taken from each upstream per turn; the rest has to wait for the next turn. */
#define INGEST_FRAMES_PER_TURN         256
#define INGEST_UNPACKED_BYTES_PER_TURN (4u << 20)
/* Messages that are taken from each upstream: at once, and per second after that. */
#define INGEST_MESSAGES_AT_ONCE 1024
#define INGEST_MESSAGES_PER_S   4096

/* One upstream's figures. Written by the ingest thread. */
struct upstream_counters {
    counter messages, bytes;                       /* data messages received whole */
    counter connected;                             /* 0 or 1, now */
    counter attempts, successes, failures, errors; /* errors: failures, and established connections that were lost */
    counter duplicates;                            /* copies: another connection had brought them before */
    counter published_first;                       /* published, counted where several upstreams are configured */
    counter too_big, invalid;                      /* messages: over the limit, as sent or as JSON; neither JSON nor brotli */
    counter pings_sent, pongs_missed;
    struct histogram behind_ns; /* how much later than the first a duplicate came */
};

/* Written by the ingest thread, read by any. */
struct ingest_counters {
    counter published, published_bytes;
    counter waited_for_room; /* messages that had to wait for room in the log */
    counter reader_wakeups;
};

struct ingest_options {
    const struct ws_uri *upstreams;
    unsigned upstream_count;
    const char *ca_file;     /* --upstream-ca, or NULL: the system's roots */
    struct channel *channel; /* where messages go as they came, or as JSON if decompress */
    bool decompress;         /* brotli from upstream is published as JSON */
    struct waker **wakers;   /* of the channel's readers, woken after each publish */
    unsigned waker_count;
    uint64_t max_message_bytes; /* of a message as it comes, and as JSON */
    uint64_t max_backoff_ns;    /* longest wait between attempts, jitter included */
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint64_t seed;   /* for the back-off's jitter, which upstreams can observe */
    uint64_t secret; /* for the hashes by which copies are found: drawn at start; a peer that knew it could forge copies */
};

struct ingest;

/*
 * Creates an ingest. `options` is copied; what it points to must outlive the ingest. 0, -EINVAL (no upstream, a time of 0, or CA certificates
 * that can't be loaded; logged) or -ENOMEM.
 */
int ingest_create(struct ingest **out, const struct ingest_options *options);

/* Frees the ingest, after its engine was destroyed. NULL is allowed. */
void ingest_destroy(struct ingest *ingest);

/* Fills in handler, context and sizes in the options of the engine on which the ingest will run. */
void ingest_engine_options(struct ingest *ingest, struct engine_options *options);

/* Gives the ingest its engine, which stays the caller's; before the first turn. */
void ingest_attach(struct ingest *ingest, struct engine *engine);

/* One turn: messages that wait for room, I/O, time-outs and reconnects. Sleeps at most until `deadline_ns`. */
void ingest_turn(struct ingest *ingest, uint64_t deadline_ns);

/* When the ingest needs its next turn even if no I/O happens, in ns of the engine's clock; for the simulator. */
uint64_t ingest_next_deadline(const struct ingest *ingest);

/* Asks the ingest to close all upstreams with 1001 and to connect no more. After ingest_attach; any thread. */
void ingest_stop(struct ingest *ingest);

/* True once all upstreams are closed after ingest_stop. Any thread. */
bool ingest_is_stopped(const struct ingest *ingest);

/* Figures, owned by the ingest. Any thread. `upstream`: the index in ingest_options.upstreams. */
const struct ingest_counters *ingest_counters_get(const struct ingest *ingest);
const struct upstream_counters *ingest_upstream_counters(const struct ingest *ingest, unsigned upstream);

/* Since when no upstream is connected (monotonic ns), or 0 while one is. Any thread. */
uint64_t ingest_down_since_ns(const struct ingest *ingest);

#endif
