/* The parts of a population that its files share. */
#ifndef PERF_POPULATION_INTERNAL_H
#define PERF_POPULATION_INTERNAL_H

#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "population/delay_line.h"
#include "population/frames.h"
#include "population/population.h"
#include "population/transmit_ring.h"

#include <rte_ether.h>
#include <rte_mempool.h>

/* The clients' window scale. */
#define WINDOW_SCALE 7

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING, /* its SYN is sent */
    CLIENT_REQUESTING, /* its request is sent */
    CLIENT_OPEN,       /* the request was answered with 101 */
    CLIENT_ENDED,      /* it was sent a FIN or RST, or an answer that is not 101 */
};

struct client {
    uint32_t expected; /* next sequence number */
    /* Where the byte of that number lies in the log. `offset` is a record's number instead if `has_record`. */
    uint32_t frame;
    uint32_t offset;
    uint8_t state; /* enum client_state */
    uint8_t unacknowledged;
    bool is_dead : 1;
    bool has_record : 1;
    bool has_place : 1;     /* false: the first frame is not sent yet */
    bool has_requested : 1; /* its sequence number is behind its request */
    bool has_finished : 1;  /* its FIN is sent */
};

_Static_assert(sizeof(struct client) == 16, "clients must take little memory of the cache");

/* What has arrived behind a gap. */
struct received_range {
    uint32_t start, end;
    struct place after; /* the place of `end` */
};

#define RECORD_RANGES   8
#define MAX_SACK_BLOCKS 3u

/* What a client has beyond its 16 bytes while segments are missing, and always if it is stalled. */
struct record {
    struct place place; /* of the next expected byte */
    uint32_t window_edge;
    bool is_stalled;
    uint8_t range_count;
    struct received_range ranges[RECORD_RANGES]; /* that changed last, first */
};

struct sack_blocks {
    uint32_t starts[MAX_SACK_BLOCKS], ends[MAX_SACK_BLOCKS];
    uint32_t count;
};

/* SYNs from nowhere. */
struct flood {
    uint64_t begun_ns; /* 0: not yet */
    uint64_t number;   /* of the next SYN */
};

/* A pool of numbered elements: those that are free. Number 0 is never given. */
struct number_pool {
    uint32_t *free;
    uint32_t free_count;
};

struct population {
    struct population_options options;
    struct client *clients;
    struct frames frames;
    struct delay_line line;
    struct transmit_ring ring;
    struct rte_mempool *packets; /* that are handed out */
    struct record *records;
    struct number_pool free_records;
    struct sack_blocks *sacks;
    struct number_pool free_sacks;
    struct random random;
    uint64_t loss_threshold; /* a segment is lost if a random number is below */
    uint32_t until_verified; /* segments until one is read */
    uint32_t burst_client;   /* of the last packet of the burst; CLIENT_NONE before the first */
    uint32_t request_bytes;
    uint32_t due_us; /* when what is answered now arrives, modulo 2^32 */
    struct flood flood;
    struct population_figures figures;
};

#define CLIENT_NONE UINT32_MAX

/* Takes the next number of a pool; 0 if none is free. */
static inline uint32_t number_pool_take(struct number_pool *pool)
{
    return pool->free_count > 0 ? pool->free[--pool->free_count] : 0;
}

static inline void number_pool_give(struct number_pool *pool, uint32_t number)
{
    pool->free[pool->free_count++] = number;
}

/* The client with that address and port in host byte order; CLIENT_NONE if there is none. */
uint32_t population_client_of(const struct population *population, uint32_t ip, uint16_t port);

/* Makes a client established: it takes frames from now on. Gives a stalled client its record. */
void client_open(struct population *population, uint32_t number);

/* Gives a packet to the client that it is for. The packet stays the ring's. */
void client_take_packet(struct population *population, const struct rte_mbuf *packet);

/* Ends a burst of packets to one client: sends the acknowledgement that is owed by then. */
void client_end_burst(struct population *population);

/* Sends an answer of the client, which arrives after the delay. */
void client_answer(struct population *population, uint32_t number, enum answer_kind kind);

/* The same as an acknowledgement at once, with the ranges that have arrived behind a gap. */
void client_acknowledge(struct population *population, uint32_t number);

/* Writes an answer as a packet from the client to the server. */
void answer_write(struct population *population, const struct answer *answer, struct rte_mbuf *packet);

/* How many SYNs of the flood have arrived at `now_ns` and are not handed out; drops those for which the ring has no room. */
uint64_t flood_due(struct population *population, uint64_t now_ns);

/* Writes the next SYN of the flood. */
void flood_write(struct population *population, struct rte_mbuf *packet);

/* Whether an address, in host byte order, is one from which the flood comes. */
bool flood_has_address(uint32_t ip);

/* Writes a packet's headers for Ethernet and IP, of `ip_bytes` with what follows, from an address in host byte order. */
void answer_write_headers(const struct population *population, uint32_t ip, struct rte_ether_hdr *link, uint16_t ip_bytes);

/* Writes the options of a SYN. Returns where they end. */
uint8_t *answer_write_syn_options(const struct population *population, uint8_t *at);

/* The request of every client. */
extern const char population_request[];

/* Whether these bytes are the answer that accepts it. */
bool population_is_accepted(const uint8_t *bytes, uint32_t length);

#endif
