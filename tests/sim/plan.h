/* What a seed draws before a run begins: the weather, the sizes, the limits, and how badly everybody behaves. */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include "flashrelay/engine_sim.h"

#define MAX_SHARDS   3
#define MAX_BUILDERS 3
#define MAX_CLIENTS  20

/* What a seed draws before it begins. */
struct plan {
    uint64_t seed;
    struct sim_network_options network;
    unsigned shards, builders, clients;
    unsigned flashblocks;
    uint64_t interval_ns; /* between flashblocks, on average */
    uint32_t burst_permille;
    uint32_t payload_bytes; /* most, of one message */
    uint32_t
        grain_bytes; /* frames are of this size, times n, or a byte larger: so they often fit just, or just not; 0: any size */
    uint64_t max_message_bytes;
    bool compress;
    uint32_t brotli_permille; /* of the builders' messages */
    size_t arena_bytes;
    uint32_t entries;
    uint32_t message_buffer_size;
    uint64_t send_timeout_ns;
    bool client_ping;
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint32_t instance_limit, ip_limit;
    bool limited; /* there are fewer places than may be wanted */
    uint32_t sends_per_turn;
    uint32_t client_fault_permille, builder_fault_permille; /* chance each time one acts */
    uint32_t hiccup_permille;                               /* chance a step that time passes although a thread could run */
    uint32_t interruption_permille; /* chance that a thread is interrupted where it meets others; 0: turns are whole */
    uint32_t stall_per_million;     /* chance a step that a thread gets no turn for long, or does not get on with its turn */
    bool drain;                     /* the run ends with a shutdown instead of everybody leaving */
};

/* Draws everything from the seed. */
void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

#endif
