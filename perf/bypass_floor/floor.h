/* The parts of bypass_floor; main.c describes the program. */
#ifndef PERF_BYPASS_FLOOR_FLOOR_H
#define PERF_BYPASS_FLOOR_FLOOR_H

#include "flashrelay/clock.h"
#include "flashrelay/random.h"

#include "bypass_floor/connection_table.h"
#include "bypass_floor/epochs.h"
#include "bypass_floor/frame_log.h"
#include "bypass_floor/timer_wheel.h"
#include "population/population.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#define SLICE          64   /* connections that are served between two looks at what has arrived */
#define BURST          64   /* packets per call of the port */
#define RECEIVE_BUDGET 1024 /* packets taken per turn */
#define BURSTS_TIMED   4    /* bursts of a connection whose times are kept */
#define EXTENTS        4
#define QUANTUM        32  /* segments of a connection per service */
#define TSO_SEGMENTS   44  /* segments that a card makes of one packet */
#define HEADER_BYTES   54  /* Ethernet, IPv4, TCP */
#define PREEMPTED_NS   1e6 /* no part but timers takes so long without a break */
#define SERVER_IP      0xc0000201
#define SERVER_PORT    9000

struct extent {
    uint64_t frame;
    uint32_t start, end;
};

struct timed_burst {
    uint32_t end; /* sequence number behind it */
    uint32_t sent_us;
};

/* The bytes of a connection, of which a relay needs that many; fields without a comment on use are there for their place alone. */
struct floor_connection {
    uint64_t owner;
    uint64_t held;
    uint64_t pinned; /* the lowest frame that is not acknowledged; UINT64_MAX: none */
    uint64_t taken, offered;
    uint32_t flags;
    uint32_t extent_count;
    struct extent extents[EXTENTS];

    uint8_t remote_address[16]; /* IPv4: the first four bytes, in network byte order */
    uint16_t remote_port;       /* in network byte order */
    uint16_t next_hop, mss;
    uint8_t state, peer_scale;

    uint32_t una, nxt, window, wl1, receive_next, receive_acknowledged, cwnd, ssthresh;
    uint32_t quantum_left;
    uint32_t deadline_ms; /* 0: none */

    uint64_t frame;       /* in which una lies */
    uint32_t frame_start; /* sequence number of its first byte */
    uint32_t frame_end;   /* and behind its last */

    uint32_t srtt_us, rttvar_us, min_rtt_us;
    uint32_t rack_us, rack_end;
    uint32_t burst_count;
    struct timed_burst bursts[BURSTS_TIMED];
    uint64_t marks[3];
    uint32_t control_block, recovery_block;
    uint32_t w_max, cubic_epoch;
};

_Static_assert(sizeof(struct floor_connection) == 288, "a connection has the size that a relay's has");

enum connection_flag { CONNECTION_QUEUED = 1, CONNECTION_IN_NEAR = 2, CONNECTION_IN_FAR = 4, CONNECTION_WAS_LIMITED = 8 };

/* What the shard keeps of a subscriber: the fields that a fan-out touches, and room for the others. */
struct floor_subscriber {
    struct floor_connection *connection;
    uint64_t cursor, next_untaken, offered_at_ns;
    uint32_t open_index, measurement;
    uint8_t state, cause, channel, group;
    uint8_t others[132];
};

_Static_assert(sizeof(struct floor_subscriber) == 176, "a subscriber has the size that a relay's has");

enum floor_part { PART_FRAME, PART_SHARD, PART_SEGMENTS, PART_ACKS, PART_TIMERS, PARTS };

struct floor_options {
    uint32_t subscribers, bytes, mss;
    bool tso, counts_every_segment;
    uint64_t rtt_ns, interval_ns, seed;
    unsigned acks;
};

/* Mbufs taken from a pool in advance. */
struct mbuf_supply {
    struct rte_mempool *pool;
    uint32_t count;
    struct rte_mbuf *mbufs[BURST];
};

struct floor {
    struct floor_options options;
    struct population *population;
    struct dpdk_burst port;

    struct floor_connection *connections;
    struct floor_subscriber *subscribers;
    uint32_t *order;                   /* in which the subscribers are served, shuffled for each round */
    uint32_t prefetched, prefetch_end; /* places in it: up to which is prefetched, and up to which may be by now */
    struct connection_table table;
    struct timer_wheel wheel;
    struct frame_log log;
    struct epochs epochs;
    struct epoch *epoch; /* of this turn */

    /* Connections with something to send. */
    uint32_t *queue;
    uint32_t queue_mask, queue_head, queue_tail;

    struct mbuf_supply headers, payloads;
    struct rte_mbuf *packets[BURST]; /* to be sent */
    uint16_t packet_count;
    struct rte_mbuf *last_payload; /* of the last packet; NULL at the beginning of a turn */
    alignas(64) uint8_t template[64];
    uint32_t template_sum;    /* of what the TCP checksum covers and no connection changes */
    uint32_t template_ip_sum; /* the same of the IP header */

    struct random random;
    uint64_t clock_base, clock_jump_ns; /* time stamp counter at time 0, and time left out since then */
    double ns_per_cycle;
    uint64_t now_ns; /* of this turn */

    uint64_t cycles[PARTS];
    uint64_t client_cycles; /* of the population, which the parts leave out */
    /* What must not happen. */
    uint64_t blocked, strange_packets, timeouts;
};

/* Creates a floor whose connections are established. 0 or a negative errno. floor_destroy frees it (NULL is allowed). */
int floor_create(struct floor **out, const struct floor_options *options);
void floor_destroy(struct floor *floor);

/* Sends one frame to all and waits until all is acknowledged; idle time is left out by putting the clock forward. */
void floor_run_round(struct floor *floor);

/* Offers the newest frame to the subscribers order[first] to order[first + count - 1]. */
void floor_offer(struct floor *floor, uint32_t first, uint32_t count);

/* Serves up to SLICE queued connections, as one turn: its segments are an epoch, and all are handed to the port. */
void floor_serve(struct floor *floor);

/* The shard's part when bytes are taken, for the same subscribers as floor_offer. */
void floor_note_progress(struct floor *floor, uint32_t first, uint32_t count);

/* Takes what has arrived. Returns the number of packets. */
uint32_t floor_receive(struct floor *floor);

/* Makes the template of all headers. */
void floor_init_template(struct floor *floor);

/* Sets a deadline for what is in flight. */
void floor_set_deadline(struct floor *floor, uint32_t slot);
void floor_fire_timers(struct floor *floor);

/* Puts a connection into the queue of those to be served. */
static inline void floor_queue(struct floor *floor, struct floor_connection *connection, uint32_t slot)
{
    if (connection->flags & CONNECTION_QUEUED)
        return;
    connection->flags |= CONNECTION_QUEUED;
    floor->queue[floor->queue_head++ & floor->queue_mask] = slot;
}

/* Prefetches what the next delivery in order will touch that is not prefetched yet. */
static inline void floor_prefetch_next(struct floor *floor)
{
    uint32_t slot = floor->order[floor->prefetched++];
    const char *connection = (const char *)&floor->connections[slot];

    rte_prefetch0(&floor->subscribers[slot]);
    rte_prefetch0(connection);
    rte_prefetch0(connection + 104);
    rte_prefetch0(connection + 168);
    rte_prefetch0(connection + 232);
}

/* The time in ns: that of a machine that does not have the clients' work. Idle time is left out. */
static inline uint64_t floor_clock(const struct floor *floor)
{
    uint64_t passed = rte_rdtsc() - floor->clock_base;

    if (floor->population)
        passed -= population_figures(floor->population)->client_cycles;
    return (uint64_t)((double)passed * floor->ns_per_cycle) + floor->clock_jump_ns;
}

/* Begins to measure; floor_measured adds what has passed since then, without the population's time, to a part. */
struct floor_stamp {
    uint64_t begun, client_cycles;
};

static inline struct floor_stamp floor_begin(const struct floor *floor)
{
    return (struct floor_stamp){rte_rdtsc(), population_figures(floor->population)->client_cycles};
}

static inline void floor_measured(struct floor *floor, enum floor_part part, struct floor_stamp stamp)
{
    uint64_t passed = rte_rdtsc() - stamp.begun - (population_figures(floor->population)->client_cycles - stamp.client_cycles);

    /* Another program had the core: that is left out, from the clock too. Timers may take that long by themselves. */
    if (part != PART_TIMERS && (double)passed * floor->ns_per_cycle > PREEMPTED_NS)
        floor->clock_base += passed;
    else
        floor->cycles[part] += passed;
}

#endif
