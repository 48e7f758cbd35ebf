/* What a seed decides: the network's faults, the card, the log, the peers. One thread. */
#ifndef TESTS_TCP_SIM_PLAN_H
#define TESTS_TCP_SIM_PLAN_H

#include "common/wire.h"
#include "flashrelay/random.h"
#include "support/tcp_peer.h"
#include "support/wire_port.h"

#define PLAN_PEERS 24

struct plan {
    uint64_t seed;
    struct wire_settings faults[2];
    struct wire_port_options card;
    uint16_t mtu;
    bool mtu_falls; /* the wire's MTU becomes smaller on the way */
    size_t arena_bytes;
    unsigned frames, peers;
    uint32_t frame_bytes;  /* most */
    uint64_t publish_ns;   /* between two frames, at the most */
    unsigned act_permille; /* how often a peer does something between two frames */
    unsigned fault_frames; /* after so many frames the network is calm */
    uint32_t max_connections, sends_per_turn;
};

void plan_draw(struct plan *plan, uint64_t seed);

/* Options of a peer; the caller adds addresses and callbacks. */
void plan_draw_peer(const struct plan *plan, struct random *random, struct tcp_peer_options *options);

#endif
