/*
 * A population: simulated TCP clients that take the place of a card's queue pair and of the network behind it. A client takes 16 bytes; its
 * address, port and initial sequence number are computed from its number. Clients acknowledge what they are sent, after a delay.
 *
 * What a card's driver does is done too (transmit_ring.h) and counts as the sender's work. What the clients do is measured apart.
 *
 * Payloads are not read but compared by address: each must be the expected place in the memory of the frame that the client is owed. What
 * lies behind the headers, a short piece of a frame or a control frame, is compared byte by byte. One segment in POPULATION_VERIFY_EVERY is
 * read: its checksum, and its frame's bytes.
 *
 * IPv4 without VLAN tags. WebSocket pings are acknowledged, not answered; they and other control frames may not be lost, because a segment
 * behind a gap is looked for as if the gap had frames only. One thread, but for the addresses.
 */
#ifndef PERF_POPULATION_POPULATION_H
#define PERF_POPULATION_POPULATION_H

#include "engine/dpdk/burst.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most clients. */
#define POPULATION_MAX_CLIENTS (UINT32_C(1) << 22)
/* Frames that the population remembers: no client may be further behind. */
#define POPULATION_FRAMES 4096
/* One segment in so many is read. */
#define POPULATION_VERIFY_EVERY 4096
/* population_options.acks: one acknowledgement for all segments of a burst, as a receiver with GRO sends it. */
#define POPULATION_ACK_PER_BURST 0

struct population_options {
    uint32_t clients;
    uint64_t seed;
    uint64_t rtt_ns;  /* from a segment to the acknowledgement's arrival */
    unsigned acks;    /* one per so many full segments, and one at each PSH; or POPULATION_ACK_PER_BURST */
    double loss;      /* share of segments to established clients that are lost, 0 to 1 */
    uint32_t dead;    /* the first so many clients never answer once they are established */
    uint32_t stalled; /* the next so many read nothing: their window closes after `stalled_bytes` */
    uint32_t stalled_bytes;
    uint32_t window_bytes; /* of all other clients; at most 8 MiB, rounded down to 128 */
    uint64_t syns_per_s;   /* SYNs from addresses that are no client's and never answer (a flood) */
    uint16_t mss;          /* that the clients announce */
    uint32_t server_ip;    /* in host byte order, as server_port */
    uint16_t server_port;
    uint8_t server_mac[6];
    uint64_t (*now)(void *context); /* the time in ns */
    void *context;
};

struct population_figures {
    uint64_t packets, segments, payload_bytes; /* sent to clients; a TSO packet is as many segments as a card makes of it */
    uint64_t foreign;                          /* packets that are not IPv4, such as ARP: the clients ignore them */
    uint64_t control_bytes;            /* payload that lay behind the headers: the answer to the upgrade, pings, close frames */
    uint64_t verified;                 /* segments that were read */
    uint64_t acks, sacks;              /* handed out; `sacks` are those with SACK blocks */
    uint64_t lost;                     /* segments dropped at random */
    uint64_t syns, syns_answered;      /* of the flood: handed out, and packets to their addresses */
    uint64_t syns_dropped;             /* of the flood: for which the ring had no room */
    uint64_t out_of_order, duplicates; /* segments that came after a gap, or again */
    uint64_t skipped_frames;           /* frames left out between two that a client got */
    uint64_t open, ended;              /* clients that were answered with 101; that got a FIN or RST */
    uint64_t frames_completed;         /* deliveries: frames that a client has whole */
    uint64_t records_wanting;          /* segments dropped, and clients that do not stall, because no record of gaps was free */
    /* What must not happen; 0 in a run without faults. */
    uint64_t misplaced;     /* payloads that are not the expected place in the log */
    uint64_t corrupt;       /* headers, checksums or bytes that are wrong */
    uint64_t beyond_window; /* segments beyond what the client allows */
    uint64_t unknown;       /* packets to no client, or not fit for its state */
    uint64_t refused;       /* clients whose upgrade was not answered with 101 */
    /* Time, in cycles of the time stamp counter. */
    uint64_t client_cycles; /* spent on behalf of the clients, within all calls */
    uint64_t ring_cycles;   /* spent in the transmit ring */
};

struct population;

/*
 * Creates a population whose clients are closed. EAL must be initialised. 0, -ENOMEM, or -EINVAL if an option is out of range. The caller
 * destroys it once no packet that it received is in use (NULL is allowed).
 */
int population_create(struct population **out, const struct population_options *options);
void population_destroy(struct population *population);

/* The table of functions that takes the place of a queue pair's. */
struct dpdk_burst population_burst(struct population *population);

/*
 * Says that the log has another frame, of `length` bytes at `bytes`. Its bytes are read once, and must stay until POPULATION_FRAMES frames
 * have followed or no client is owed it.
 */
void population_add_frame(struct population *population, const uint8_t *bytes, uint32_t length);

/*
 * Makes `count` clients from the number `first` on go on with connecting: those that are closed or have sent their SYN send a SYN, those that
 * wait for the answer to their upgrade send it again. A client that becomes established expects the frame whose memory it is sent first.
 */
void population_connect(struct population *population, uint32_t first, uint32_t count);

/*
 * Makes all clients established at once, without packets: their upgrade was answered, the next frame to be added is the first that they
 * expect, and the server's sequence number is population_server_sequence. A client's own is population_client_sequence.
 */
void population_establish(struct population *population);
uint32_t population_server_sequence(const struct population *population, uint32_t client);
uint32_t population_client_sequence(const struct population *population, uint32_t client);

/* The address and port of a client, in host byte order. Any thread. */
uint32_t population_client_ip(uint32_t client);
uint16_t population_client_port(uint32_t client);

/* When the next answer of a client arrives, in ns; CLOCK_NEVER if none is on its way. */
uint64_t population_next_arrival_ns(const struct population *population);

/* The bytes of the clients' memory and of what is on its way. */
size_t population_memory_bytes(const struct population *population);

/* Frees all packets in the transmit ring, as a driver's rte_eth_tx_done_cleanup does. */
void population_reclaim(struct population *population);

const struct population_figures *population_figures(const struct population *population);

/* What must not happen has happened so many times: the sum of those figures. */
uint64_t population_faults(const struct population *population);

/* How many bytes of the stream the client has in order, after the upgrade's answer. Tests compare it. */
uint32_t population_expected_sequence(const struct population *population, uint32_t client);

#endif
