/*
 * The simulated engine: virtual time and a network that splits, delays, reorders completions, stalls, resets and refuses bytes, all from
 * one seed. Single-threaded: the test runs the turns of every thread in the order it likes. The same seed gives the same run.
 */
#ifndef FLASHRELAY_ENGINE_SIM_H
#define FLASHRELAY_ENGINE_SIM_H

#include "flashrelay/engine.h"
#include "flashrelay/random.h"

struct sim_network;

struct sim_network_options {
    uint64_t seed;
    uint64_t delay_min_ns, delay_max_ns; /* of each segment */
    uint32_t segment_max_bytes;          /* what is received at once is split below this, at random */
    uint32_t window_bytes;               /* what a direction takes before it blocks */
    uint32_t short_send_permille;        /* chance that a send takes only a part although there is room */
    uint32_t late_send_permille;         /* chance that a send is answered in a later turn, its bytes read only then */
    uint32_t zerocopy_permille;          /* chance that a send of frames pins them until the peer has the bytes */
    uint32_t late_notification_permille; /* chance that a notification takes seconds */
    bool own_tcp; /* engines have a TCP of their own: frames are pinned until they are acknowledged, which is reported */
    uint32_t late_close_permille;  /* chance that an abort has to wait for operations that were begun before */
    uint32_t starve_permille;      /* chance, each time something is received, that there is no buffer for it in this turn */
    uint32_t reset_permille_per_s; /* chance a connection and second to be reset by the network */
};

/* 0 or -ENOMEM. What it allocates later has no answer to lack of memory but abort(). */
int sim_network_create(struct sim_network **out, const struct sim_network_options *options);
/* After its engines. */
void sim_network_destroy(struct sim_network *network);

/* Virtual time; advances only by sim_network_advance. */
uint64_t sim_network_now(const struct sim_network *network);

/* The next time at which something happens by itself, or CLOCK_NEVER. */
uint64_t sim_network_next_event(const struct sim_network *network);

/* Moves time forward to `now_ns`, delivering what is due. */
void sim_network_advance(struct sim_network *network, uint64_t now_ns);

/* An engine attached to the network at `ip`; listeners are found by address and shared by SO_REUSEPORT like the kernel does. */
int engine_sim_create(struct engine **out, const struct engine_options *options, struct sim_network *network,
                      const struct ip_address *ip);

/*
 * True if the engine's turn would do something now. A turn never waits here: where one would sleep (engine_prepare_sleep was called, a
 * deadline other than 0 given, nothing to do) it returns with its waker still sleeping, and the thread is asleep until this is true,
 * a wake-up included, or its deadline comes. A thread whose engine does not sleep runs on: give it its next turn.
 */
bool engine_sim_is_due(const struct engine *engine);

/* Faults on one connection, from either side's handle. */
void sim_connection_stall(struct connection *connection, bool stalled); /* its receiving side takes nothing */
void sim_connection_reset(struct connection *connection);               /* both sides see -ECONNRESET */
void sim_connection_vanish(struct connection *connection); /* this side sees -ECONNRESET, the other one nothing, ever */

/* While they are taken by others, the engine accepts nobody, and connecting fails with -EMFILE. */
void engine_sim_take_descriptors(struct engine *engine, bool taken);

/* Bytes that were sent to this side and not consumed by it yet, for tests. */
size_t sim_connection_unread_bytes(const struct connection *connection);

#endif
