/* What a seed draws before a run begins: the weather, the sizes, the limits, and how badly everybody behaves. */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include "flashrelay/engine_sim.h"

#define MAX_SHARDS     8
#define MAX_BUILDERS   3
#define MAX_CLIENTS    200
#define MAX_APPS       3
#define MAX_SELECTIONS 3

/* Of the machine that the relay runs on. Chances are per step. */
struct machine_plan {
    uint32_t hiccup_permille;       /* that some thread does not run for a moment */
    uint32_t interruption_permille; /* chance that a thread is interrupted where it meets others; 0: turns are whole */
    uint32_t stall_per_million;     /* that a thread gets no turn for long, or does not get on with its turn */
    uint32_t shortage_per_million;  /* that there are no descriptors for a while */
};

/* Of builders: chances each time that one acts. */
struct builder_plan {
    uint32_t fault_permille;
    uint32_t flood_permille;  /* of thousands of tiny messages */
    uint32_t bomb_permille;   /* of a little brotli that is much JSON */
    uint32_t brotli_permille; /* of all messages */
};

/* Of clients: chances each time that one acts. */
struct client_plan {
    uint32_t fault_permille;
    uint32_t flood_permille; /* of more than a subscriber may send */
};

/* Of who may subscribe, and to what. */
struct access_plan {
    unsigned apps;  /* 0: no keys are needed */
    bool is_public; /* none are, although there are apps */
    uint32_t app_limit;
    uint32_t instance_limit, ip_limit;
    unsigned descriptors;   /* that shards may take; 0: as many as they like */
    bool has_limits;        /* there are fewer places than may be wanted */
    bool is_forwarded;      /* clients come through a proxy, which says for whom */
    bool has_both_channels; /* subscribers follow what was compressed, or what was not */
    uint16_t selections;    /* subscribers follow one of these, or everything */
};

struct plan {
    uint64_t seed;
    struct sim_network_options network;
    struct machine_plan machine;
    struct builder_plan builder;
    struct client_plan client;
    struct access_plan access;
    unsigned shards, builders, clients;
    unsigned flashblocks;
    uint64_t interval_ns; /* between flashblocks, on average */
    uint32_t burst_permille;
    uint32_t payload_bytes; /* most, of one message */
    uint32_t grain_bytes;   /* frames are of this size, times n, or a byte larger, so they often fit just, or just not; 0: any */
    uint64_t max_message_bytes;
    bool compress;
    size_t arena_bytes;
    uint32_t entries;
    uint32_t message_buffer_size;
    uint64_t send_timeout_ns;
    bool client_ping;
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint32_t sends_per_turn;
    bool drain; /* the run ends with a shutdown instead of everybody leaving */
};

/* Draws everything from the seed. */
void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

#endif
