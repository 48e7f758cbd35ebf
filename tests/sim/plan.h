/* The plan of a run, drawn from its seed before it begins: the network, sizes, limits, and how badly builders and clients behave. */
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
    uint32_t hiccup_permille;       /* that a thread does not run for a moment */
    uint32_t interruption_permille; /* per point (thread.h): that a thread is interrupted there; 0: turns are not interrupted */
    uint32_t stall_per_million;     /* that a thread gets no turn for long, or is interrupted for long within its turn */
    uint32_t shortage_per_million;  /* that there are no descriptors for a while */
};

/* Of builders: chances each time that one acts. */
struct builder_plan {
    uint32_t fault_permille;
    uint32_t flood_permille;  /* of thousands of tiny messages */
    uint32_t bomb_permille;   /* of a small brotli message that is much JSON */
    uint32_t brotli_permille; /* of all messages */
};

/* Of clients: chances each time that one acts. */
struct client_plan {
    uint32_t fault_permille;
    uint32_t flood_permille; /* of more than a subscriber may send */
};

/* Of access: who may subscribe, and to what. */
struct access_plan {
    unsigned apps;  /* 0: no keys are needed */
    bool is_public; /* no keys are needed, although there are apps */
    uint32_t app_limit;
    uint32_t instance_limit, ip_limit;
    unsigned descriptors;   /* that shards may take; 0: unlimited */
    bool has_limits;        /* there may be fewer places than clients want */
    bool is_forwarded;      /* clients come through a proxy, which tells the relay their addresses */
    bool has_both_channels; /* each subscriber follows the compressed channel or the uncompressed one */
    uint16_t selections;    /* how many there are; each subscriber follows one of them, or everything */
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
    uint32_t payload_bytes; /* of one message, at most */
    uint32_t grain_bytes;   /* frames are n times this size, or a byte larger: they often just fit, or just do not; 0: any */
    uint64_t max_message_bytes;
    bool compress;
    size_t arena_bytes;
    uint32_t entries;
    uint32_t message_buffer_size;
    uint64_t send_timeout_ns;
    bool client_ping;
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint32_t sends_per_turn;
    bool drain; /* the run ends with a shutdown; else all subscribers leave */
};

/* Draws everything from the seed. */
void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

#endif
