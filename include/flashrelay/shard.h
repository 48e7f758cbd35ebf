/*
 * A shard: one thread's subscribers, their WebSocket sessions, cursors and the lag policy, on one engine. Shards share nothing.
 * Its thread calls shard_turn in a loop; the simulator calls it when it likes.
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
 * Requests that one shard reads at once, and of them from one address (one /64 of IPv6): a connection beyond takes the place of the
 * oldest from its address, or from the address with most. As many more may wait for control's answer; then accepting pauses.
 */
#define SHARD_MAX_HANDSHAKES             2048
#define SHARD_MAX_HANDSHAKES_PER_ADDRESS 512
#define SHARD_HANDSHAKE_TIMEOUT_NS       (5 * NS_PER_S)
/* Largest data message from a subscriber; it is read and dropped. */
#define SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES 65536
/* What a subscriber may send, on average over a window: pongs, and what it is never asked for. */
#define SHARD_RECEIVE_BYTES_PER_S 65536
#define SHARD_RECEIVE_WINDOW_S    10
/* Most channels that the subscribers of a shard follow. */
#define SHARD_MAX_CHANNELS 8
/* Most entries that a shard's channel may have. */
#define SHARD_MAX_CHANNEL_ENTRIES 16384
/* How long a peer has to answer our close with its own and its FIN. */
#define SHARD_CLOSE_TIMEOUT_NS (1 * NS_PER_S)
/* Over how long the closes of a shutdown are spread at most; few subscribers take SHARD_DRAIN_PACE_NS each. */
#define SHARD_DRAIN_SPREAD_NS (5 * NS_PER_S)
#define SHARD_DRAIN_PACE_NS   (1 * NS_PER_MS)
/* A burst costs nobody its connection who takes it within this time: falling behind counts from then on. */
#define SHARD_LAG_GRACE_NS (100 * NS_PER_MS)

/* Why subscribers' connections ended; each is counted. */
enum disconnect_cause {
    DISCONNECT_PEER_CLOSED,   /* close frame from the subscriber */
    DISCONNECT_PEER_VANISHED, /* FIN or reset without one */
    DISCONNECT_LAGGED,        /* more than message_buffer_size frames behind */
    DISCONNECT_LOG_FLOOR,     /* below the channel's floor */
    DISCONNECT_SEND_TIMEOUT,  /* took no byte for client_send_timeout */
    DISCONNECT_PONG_TIMEOUT,
    DISCONNECT_PROTOCOL_ERROR, /* we closed with 1002, 1007 or 1009 */
    DISCONNECT_FLOOD,          /* it sent more than SHARD_RECEIVE_BYTES_PER_S for SHARD_RECEIVE_WINDOW_S */
    DISCONNECT_SHUTDOWN,
    DISCONNECT_CAUSES
};

/* Names for metrics labels and logs: "peer_closed", ... */
const char *disconnect_cause_name(enum disconnect_cause cause);

/* Written by the shard's thread, read by any. Names follow the reference's metrics where it has one (dataplane/WIRE.md, "Metrics"). */
struct shard_counters {
    counter sent_messages, sent_bytes, failed_messages;
    counter new_connections, closed_connections, active_connections;
    counter disconnects[DISCONNECT_CAUSES];
    counter unauthorized, global_limited, ip_limited, app_limited;
    counter handshake_timeouts, bad_requests, health_requests;
    counter handshakes_evicted; /* for a newer one, where an address, or the shard, had too many */
    counter ping_attempts, ping_sent, ping_failures;
    counter backlog_frames;         /* frames published and not yet offered to everybody */
    counter blocked_subscribers;    /* whose socket takes no more, now */
    counter handshaking;            /* now */
    struct histogram first_send_ns; /* ingest to the first byte of a frame taken by the first subscriber */
    struct histogram last_send_ns;  /* ingest to the last reading subscriber served */
    struct histogram spread_ns;     /* last less first */
    struct histogram send_ns;       /* a subscriber's frame from offered to taken */
    struct histogram lag_frames;    /* of blocked subscribers, at each fan-out */
};

/* A channel that subscribers follow. */
struct shard_channel {
    struct channel *channel;
    struct channel_marks *marks; /* reader `reader` is this shard's, in all channels that have these marks */
    unsigned reader;
    struct waker *publisher; /* woken when the mark moves while the channel waits; may be NULL */
};

struct shard_options {
    unsigned index;
    struct shard_channel channels[SHARD_MAX_CHANNELS]; /* subscribers follow the first */
    unsigned channel_count;
    struct admission *admission;        /* NULL: everybody is admitted (tools) */
    struct snapshot_group *snapshots;   /* reader `index` is this shard; NULL: none are read */
    const struct snapshot_slot *access; /* an access table; NULL: no keys */
    counter *app_connections;           /* this shard's, by the app's number, of valid keys; may be NULL */
    /* /healthz: writes a JSON body, returns the status. NULL: always 200. Called on the shard's thread. */
    int (*health)(void *context, char *body, size_t capacity);
    void *health_context;
    const char *ip_header;           /* name of the header with the client's address; NULL: none is trusted */
    bool any_path;                   /* every path is the subscription (builders) */
    uint32_t max_subscribers;        /* slots: instance limit plus handshakes */
    uint32_t message_buffer_size;    /* frames a refusing subscriber may fall behind; 0: without limit (tools) */
    uint64_t client_send_timeout_ns; /* 0: none */
    bool client_ping;
    uint64_t client_ping_interval_ns, client_pong_timeout_ns;
    uint64_t seed; /* of fan-out starts, drain spread */
};

struct shard;

/* What engine_options of the shard's engine must be: the handler, and the shard as context, are filled in by shard_create. */
int shard_create(struct shard **out, const struct shard_options *options);

/* After the engine, whose destruction ends all connections. */
void shard_destroy(struct shard *shard);

/* Fills handler, context and max_connections of the options of the engine that the shard will run on. */
void shard_engine_options(struct shard *shard, struct engine_options *options);

/* Gives the shard its engine, listening or about to; before the first turn. 0 or what engine_add_channel says. */
int shard_attach(struct shard *shard, struct engine *engine);

/* One turn: I/O, then policy (cut off, offer, time out, publish the mark). Sleeps at most until `deadline_ns`. */
void shard_turn(struct shard *shard, uint64_t deadline_ns);

/* When the shard needs its next turn even if no I/O happens (0: at once); for the simulator. */
uint64_t shard_next_deadline(const struct shard *shard);

/* Asks for the orderly end: accept what is queued, leave the port, close with 1001 over SHARD_DRAIN_SPREAD_NS. Any thread. */
void shard_drain(struct shard *shard);

/* True when a drained shard has no connection left. Any thread. */
bool shard_is_drained(const struct shard *shard);

const struct shard_counters *shard_counters_get(const struct shard *shard);

/* Bytes of one subscriber's struct, without the engine's part. */
size_t shard_subscriber_bytes(void);

#endif
