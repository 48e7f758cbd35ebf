/*
 * A shard: one thread's subscribers, their WebSocket sessions, cursors and the lag policy, on one engine. Shards share nothing.
 * Its thread calls shard_turn in a loop; the simulator calls it when it likes. Functions without a word on threads are called by the shard's
 * thread, or before it starts and after it ended.
 */
#ifndef FLASHRELAY_SHARD_H
#define FLASHRELAY_SHARD_H

#include "flashrelay/access.h"
#include "flashrelay/admission.h"
#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/counter.h"
#include "flashrelay/engine.h"
#include "flashrelay/histogram.h"

/*
 * Most unfinished requests of one shard, and of them from one address (one /64 of IPv6): a connection beyond takes the place of the oldest
 * from its address, or from the address with most. SHARD_MAX_HANDSHAKES more may wait for control's answer; then accepting pauses.
 */
#define SHARD_MAX_HANDSHAKES             2048
#define SHARD_MAX_HANDSHAKES_PER_ADDRESS 512
/* How long a peer has for its request; control then has as long again to answer it. */
#define SHARD_HANDSHAKE_TIMEOUT_NS (5 * NS_PER_S)
/* Largest data message from a subscriber; it is read and dropped. */
#define SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES 65536
/*
 * Most that a subscriber may send, of whatever kind: SHARD_RECEIVE_BYTES_PER_S on average over the last SHARD_RECEIVE_WINDOW_S, whenever these
 * begin. They are approximated by two windows: what came in the previous one counts as if it had come at a steady pace.
 */
#define SHARD_RECEIVE_BYTES_PER_S 65536
#define SHARD_RECEIVE_WINDOW_S    10
/* Most channels that the subscribers of a shard follow. */
#define SHARD_MAX_CHANNELS 8
/* Most entries that a shard's channel may have. */
#define SHARD_MAX_CHANNEL_ENTRIES 16384
/* How long a peer has to answer our close frame with its own and its FIN. */
#define SHARD_CLOSE_TIMEOUT_NS (1 * NS_PER_S)
/* The closes of a shutdown are spread over their number times SHARD_DRAIN_NS_PER_SUBSCRIBER, at most over SHARD_DRAIN_SPREAD_NS. */
#define SHARD_DRAIN_SPREAD_NS         (5 * NS_PER_S)
#define SHARD_DRAIN_NS_PER_SUBSCRIBER (1 * NS_PER_MS)
/*
 * A subscriber that is too far behind is cut off at the earliest this long after it began to refuse bytes, so that a subscriber that takes all
 * of a burst within this time keeps its connection.
 */
#define SHARD_LAG_GRACE_NS (100 * NS_PER_MS)

/* Why subscribers' connections ended; each is counted. */
enum disconnect_cause {
    DISCONNECT_PEER_CLOSED,   /* close frame from the subscriber */
    DISCONNECT_PEER_VANISHED, /* FIN or reset without a close frame */
    DISCONNECT_LAGGED,        /* more than message_buffer_size frames behind */
    DISCONNECT_LOG_FLOOR,     /* refused, or kept pinned, a frame below the channel's floor */
    DISCONNECT_SEND_TIMEOUT,  /* took no byte for client_send_timeout */
    DISCONNECT_PONG_TIMEOUT,
    DISCONNECT_PROTOCOL_ERROR, /* we closed with 1002, 1007 or 1009 */
    DISCONNECT_FLOOD,          /* it sent more than SHARD_RECEIVE_BYTES_PER_S over SHARD_RECEIVE_WINDOW_S */
    DISCONNECT_SHUTDOWN,
    DISCONNECT_CAUSES
};

/* The cause's name in metrics labels and logs: "peer_closed", ... (static text). Any thread. */
const char *disconnect_cause_name(enum disconnect_cause cause);

/* Written by the shard's thread, read by any. Names follow the reference's metrics where it has one (dataplane/WIRE.md, "Metrics"). */
struct shard_counters {
    counter sent_messages, sent_bytes, failed_messages;
    counter new_connections, closed_connections, active_connections;
    counter disconnects[DISCONNECT_CAUSES];
    counter unauthorized, global_limited, ip_limited, app_limited;
    counter handshake_timeouts, bad_requests, health_requests;
    counter
        handshakes_evicted; /* reset for a newer one, where an address, or the shard, had too many, or descriptors are short */
    counter ping_attempts, ping_sent, ping_failures;
    counter backlog_frames;         /* frames published and not yet offered to all subscribers, now */
    counter blocked_subscribers;    /* have refused bytes and not taken everything since, now */
    counter handshaking;            /* connections whose request is read, or waits for control, now */
    struct histogram first_send_ns; /* from ingest until the first subscriber has taken a frame's first byte */
    struct histogram last_send_ns;  /* from ingest until the last subscriber that refused no bytes has a frame */
    struct histogram spread_ns;     /* from the first to the last of these */
    struct histogram send_ns;       /* per subscriber and frame: from offered to taken */
    struct histogram lag_frames;    /* of each blocked subscriber, when frames were published */
};

/* A channel that subscribers follow. All that it points to must outlive the shard. */
struct shard_channel {
    struct channel *channel;
    struct channel_marks *marks; /* the shard is reader `reader` of these, in all channels that have them */
    unsigned reader;
    struct waker *publisher; /* woken when the mark moves while the publisher waits for room; may be NULL */
};

struct shard_options {
    unsigned index;
    struct shard_channel channels[SHARD_MAX_CHANNELS]; /* subscribers follow the first */
    unsigned channel_count;
    struct admission *admission;        /* NULL: all connections are admitted (tools) */
    struct snapshot_group *snapshots;   /* the shard is reader `index`; NULL: it reads no snapshots */
    const struct snapshot_slot *access; /* an access table; NULL: no keys */
    counter *app_connections; /* upgrade requests with a valid key, by the app's number; may be NULL; see access_table_publish */
    /* For /healthz: writes a JSON body with terminator, returns the HTTP status. NULL: always 200. Called on the shard's thread. */
    int (*health)(void *context, char *body, size_t capacity);
    void *health_context;
    const char *ip_header;           /* name of the header with the client's address; NULL: none is trusted */
    bool any_path;                   /* every path subscribes (builders) */
    uint32_t max_subscribers;        /* slots: instance limit plus handshakes */
    uint32_t message_buffer_size;    /* frames that a blocked subscriber may fall behind; 0: no limit (tools) */
    uint64_t client_send_timeout_ns; /* 0: no time-out */
    bool client_ping;
    uint64_t client_ping_interval_ns, client_pong_timeout_ns;
    uint64_t seed; /* for the random order of fan-out and drain */
};

struct shard;

/* Creates a shard. `options` is copied; what it points to must outlive the shard. 0 or -ENOMEM. */
int shard_create(struct shard **out, const struct shard_options *options);

/* Frees the shard, after its engine, whose destruction ends all connections. NULL is allowed. */
void shard_destroy(struct shard *shard);

/* Fills in handler, context and max_connections in the options of the engine on which the shard will run. */
void shard_engine_options(struct shard *shard, struct engine_options *options);

/* Gives the shard its engine, which stays the caller's; before the first turn. 0 or the negative errno of engine_add_channel. */
int shard_attach(struct shard *shard, struct engine *engine);

/* One turn: I/O, then control's answers, time-outs, offering, cutting off, publishing the mark. Sleeps at most until `deadline_ns`. */
void shard_turn(struct shard *shard, uint64_t deadline_ns);

/* When the shard needs its next turn even if no I/O happens, in ns of the engine's clock (0: at once); for the simulator. */
uint64_t shard_next_deadline(const struct shard *shard);

/* Asks the shard to accept what is queued, stop listening and close all subscribers with 1001, spread in time. After shard_attach; any thread. */
void shard_drain(struct shard *shard);

/* True once the shard has no connection left after shard_drain. Any thread. */
bool shard_is_drained(const struct shard *shard);

/* The shard's figures, which it owns. Any thread. */
const struct shard_counters *shard_counters_get(const struct shard *shard);

#endif
