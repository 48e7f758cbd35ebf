/* The TCP engine's own structures. All of its functions run on the engine's thread, but for tcp_wake. */
#ifndef DATAPLANE_ENGINE_TCP_INTERNAL_H
#define DATAPLANE_ENGINE_TCP_INTERNAL_H

#include "base/slab.h"
#include "engine/tcp/cookie.h"
#include "engine/tcp/epochs.h"
#include "engine/tcp/output.h"
#include "engine/tcp/packet.h"
#include "engine/tcp/sequence.h"
#include "engine/tcp/sums.h"
#include "engine/tcp/table.h"
#include "engine/tcp/tcp.h"
#include "engine/tcp/wheel.h"
#include "flashrelay/engine_tcp.h"

#include "engine/tcp/closed_tuples.h"

/* Window that is offered to peers, without scaling: what subscribers send is short, and is consumed at once. */
#define RECEIVE_WINDOW_BYTES 32768u
#define TCP_BURSTS           4
#define TCP_MARKS            3
#define NO_SLOT              UINT32_MAX
/* Of the slot's generation, in connections and in the entries of wheels. */
#define GENERATION_MASK 0x1ffu

/* Units of the wheels in ticks: 2^10 and 2^14. */
#define NEAR_SHIFT 10
#define FAR_SHIFT  14

/* What is to happen when the connection's `deadline` comes. */
enum tcp_timer {
    TIMER_NONE,
    TIMER_RTO,     /* retransmission time-out (RFC 6298) */
    TIMER_PROBE,   /* tail loss probe (RFC 8985, 7) */
    TIMER_REORDER, /* what is missing now counts as lost (RFC 8985, 6.2) */
    TIMER_PERSIST, /* zero-window probe (RFC 9293, 3.8.6.1) */
};

/* Bytes that were sent for the first time at about the same time. */
struct tcp_burst {
    uint32_t end; /* the sequence number after the last of them */
    uint32_t sent_at;
};

/* A place in the stream of bytes sent where a control run begins, or where frames are skipped. */
struct tcp_mark {
    uint32_t sequence;
    uint32_t value; /* number of a control run; or MARK_JUMP and how many frames are skipped */
};
#define MARK_JUMP 0x80000000u

/*
 * A connection with everything that TCP keeps of it. The stream that the peer has not acknowledged lies in the log: `una_frame` is the frame
 * of the first unacknowledged byte, and what follows is found by walking the selected frames from there.
 */
struct tcp_connection {
    struct connection base;

    struct ip_address remote;
    uint16_t remote_port;
    uint16_t neighbour;    /* number of the host's neighbour to which packets go */
    uint8_t local;         /* number of the host's address */
    uint8_t mss_class : 3; /* tcp_mss */
    uint8_t is_v6 : 1;
    uint8_t peer_scale;          /* of the windows that the peer offers */
    uint8_t largest_window_bits; /* the largest window that the peer has offered is below 2 to the power of this */

    uint32_t una;             /* the oldest sequence number not acknowledged */
    uint32_t nxt;             /* the next sequence number to be sent for the first time */
    uint32_t window;          /* bytes from `una` on that the peer has room for */
    uint32_t window_sequence; /* sequence number of the segment that last set the window */
    uint32_t receive_next;    /* the next sequence number expected from the peer */
    uint32_t receive_acked;   /* up to which the peer was sent an acknowledgement */
    uint32_t cwnd, ssthresh;  /* bytes; RFC 5681 */

    uint32_t generation : 9; /* of the slot: entries of an earlier connection in a wheel are told by it */
    uint32_t near_count : 2; /* entries in the near wheel */
    uint32_t far_count : 2;  /* entries in the far wheel */
    uint32_t is_paced : 1;   /* waits in the pacing wheel */
    uint32_t in_ack_wheel : 1;
    uint32_t timer : 3; /* enum tcp_timer: what `deadline` is for */
    uint32_t sack : 1;  /* both sides use selective acknowledgements */
    uint32_t fin_sent : 1;
    uint32_t peer_finished : 1; /* the peer's FIN was received and reported */
    uint32_t recovering : 1;    /* bytes up to recovery_point are being repaired */
    uint32_t is_loss : 1;       /* the recovery began with a time-out */
    uint32_t cwnd_limited : 1;  /* the congestion window, and nothing else, has held up sending */
    uint32_t probe_out : 1;     /* a tail loss probe, up to recovery_point, is not acknowledged */
    uint32_t reported : 1;      /* `closed` was called */
    uint32_t in_todo : 1;
    uint32_t receive_paused : 1;
    uint32_t una_in_control : 1; /* the first unacknowledged byte is in the control run of marks[0] */
    uint32_t reordering_seen : 1;
    uint32_t probe_is_new : 1; /* the probe sent new bytes: it can't have repaired a loss */
    uint32_t is_failed : 1;    /* gives up: `closed` follows with -ETIMEDOUT */
    uint32_t deadline;         /* ticks */

    uint64_t una_frame;    /* the frame of the first unacknowledged byte; in a control run: the frame after it */
    uint32_t una_end;      /* the sequence number after that frame or run */
    uint32_t frames_ahead; /* from una_frame to the frame after the last one sent; 0: no frame is unacknowledged */

    uint32_t srtt, rttvar, min_rtt; /* ticks; srtt is 0 before the first sample */
    uint32_t rack_time;             /* when the segment was sent that was sent last among those delivered */
    uint32_t rack_rtt;              /* its round-trip time */
    uint8_t duplicate_acks;
    uint8_t backoff;    /* time-outs, or probes, in a row without progress */
    uint8_t challenges; /* this second's challenge ACKs: the second's low 6 bits, and 2 bits of count */
    uint8_t mark_count : 2, burst_count : 3, reorder_steps : 3;

    struct tcp_burst bursts[TCP_BURSTS]; /* the oldest first */
    struct tcp_mark marks[TCP_MARKS];    /* in the order of the stream */

    uint32_t next_queued;                /* the next slot in the queue of those to be served, or NO_SLOT */
    uint32_t recovery;                   /* number of its recovery block, or NO_SLOT */
    uint16_t cubic_maximum, cubic_start; /* segments: RFC 9438's W_max and cwnd_epoch */
    uint32_t cubic_epoch;                /* when congestion avoidance began; meaningful if cubic_start is not 0 */
    uint32_t last_advance;               /* when `una` last advanced, or sending began anew */
    uint32_t recovery_point;             /* `nxt` when the recovery, or a probe, began */
};
_Static_assert(sizeof(struct tcp_connection) == 288, "a connection has outgrown its 288 bytes");

/* Control bytes that were sent and are not acknowledged. */
struct control_run {
    uint8_t *bytes;
    uint32_t length, capacity;
};

/* Slot numbers, the last on top. */
struct slot_stack {
    uint32_t *slots; /* mapped for all slots, touched as used */
    uint32_t count;
};

struct tcp_engine {
    struct engine base;
    struct port *port;
    struct host *host;
    unsigned index;
    struct random random, *key_source; /* key_source: `random` in tests; NULL: the system */

    struct slab slots; /* of struct tcp_connection */
    struct table table;
    uint64_t hash_seed;
    struct slab runs;                 /* of struct control_run */
    struct slab recoveries;           /* of struct tcp_recovery */
    uint32_t queue_first, queue_last; /* connections to be served */
    struct slot_stack todo, todo_now; /* connections whose end is to be reported */

    struct wheel_pool pool;
    struct wheel near_wheel, far_wheel, pace_wheel, ack_wheel;

    struct cookie_keys cookies;
    struct closed_tuples closed;
    struct sums sums;
    struct epochs epochs;
    struct output output;

    bool listening, stopped, accept_paused;
    bool is_short; /* header buffers or epochs have run out in this turn */
    bool handled;  /* a handler was called, or packets moved, in this turn */
    uint64_t now_ns;
    uint32_t now; /* the same in ticks */
    uint64_t reported_until_ns;
    uint64_t last_active_ns; /* when the engine last had something to do */
    uint64_t last_sent_ns;
    uint64_t next_second_ns; /* for what is done once per second */
    uint32_t measurements;   /* round-trip times */
    unsigned echoes_left;    /* answers to echo requests in this second */
    _Atomic bool woken;
    struct tcp_counters counters;
};

static inline struct tcp_engine *tcp_of(struct engine *engine)
{
    return (struct tcp_engine *)(void *)engine;
}

static inline struct tcp_connection *tcp_connection_of(struct connection *connection)
{
    return (struct tcp_connection *)(void *)connection;
}

static inline const struct engine_handler *tcp_handler(const struct tcp_engine *engine)
{
    return engine->base.options.handler;
}

static inline uint32_t tcp_slot(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    return slab_number(&engine->slots, connection);
}

/* Payload of a segment by class and family: over IPv6 it is 20 bytes less. A jumbo frame's leaves room for 9,000 bytes of IP packet. */
extern const uint16_t tcp_mss_classes[2][COOKIE_MSS_CLASSES];

/* The size of a full segment's payload. */
static inline uint32_t tcp_mss(const struct tcp_connection *connection)
{
    return tcp_mss_classes[connection->is_v6][connection->mss_class];
}

/* Bytes in flight as the sequence numbers have it, with a FIN. */
static inline uint32_t tcp_unacknowledged(const struct tcp_connection *connection)
{
    return connection->nxt - connection->una;
}

/* The number of bits of a value; 0 for 0. */
static inline uint8_t tcp_bits_of(uint32_t value)
{
    return value == 0 ? 0 : (uint8_t)(32 - __builtin_clz(value));
}

static inline void tcp_count_drop(struct tcp_engine *engine, enum tcp_drop_cause cause)
{
    counter_add(&engine->counters.dropped[cause], 1);
}

/* True if so many segments, at most PORT_BURST, can be sent now: header buffers are there, after what is waiting was sent. */
static inline bool output_has_room(struct tcp_engine *engine, unsigned segments)
{
    const struct output *output = &engine->output;

    return (output->segment_count + segments <= PORT_BURST && output->header_count >= segments) ||
           output_make_room(engine, segments);
}

#endif
