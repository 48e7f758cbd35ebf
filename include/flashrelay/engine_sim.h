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
    uint32_t segment_max_bytes;          /* most bytes that one call of `received` offers; how many is random */
    uint32_t window_bytes;               /* what one direction of a connection takes before it blocks */
    uint32_t short_send_permille;        /* chance that a send takes only a part although there is room */
    uint32_t late_send_permille;         /* chance that a send is answered in a later turn, its bytes read only then */
    uint32_t zerocopy_permille;          /* chance that a send of frames pins them until the peer has the bytes */
    uint32_t late_notification_permille; /* chance that a notification is up to 4 s late */
    bool own_tcp; /* engines have a TCP of their own: frames are pinned until acknowledged, and that is reported */
    uint32_t late_close_permille;        /* chance that an abort has to wait for operations that were begun before */
    uint32_t no_receive_buffer_permille; /* chance, per receive, that no buffer is free for it in this turn */
    uint32_t reset_permille_per_s;       /* chance per connection and second that the network resets it */
};

/* Creates a network, without engines. 0 or -ENOMEM. If memory runs out later, the network calls abort(). */
int sim_network_create(struct sim_network **out, const struct sim_network_options *options);
/* Frees the network, after its engines are destroyed. NULL is allowed. */
void sim_network_destroy(struct sim_network *network);

/* Virtual time in ns; advances only by sim_network_advance. */
uint64_t sim_network_now(const struct sim_network *network);

/* The time of the network's next event, or CLOCK_NEVER if there is none. */
uint64_t sim_network_next_event(const struct sim_network *network);

/* Moves time forward to `now_ns`; the events due by then happen at their times. */
void sim_network_advance(struct sim_network *network, uint64_t now_ns);

/*
 * Creates an engine with address `ip` in the network; engine_destroy frees it. Where several engines listen on one address and port, each
 * connection reaches one of them at random, as with SO_REUSEPORT. 0 or -ENOMEM.
 */
int engine_sim_create(struct engine **out, const struct engine_options *options, struct sim_network *network,
                      const struct ip_address *ip);

/*
 * True if a turn of the engine would do something now. A turn never waits: where another engine would sleep (engine_prepare_sleep was
 * called, the deadline is not 0, and nothing is to do) it returns with its waker still sleeping. The test then treats the thread as asleep
 * until this function returns true (a wake-up counts) or the deadline comes. A thread whose waker does not sleep gets its next turn.
 */
bool engine_sim_is_due(const struct engine *engine);

/* Faults on one connection, from either side's handle. */
void sim_connection_stall(struct connection *connection, bool stalled); /* its receiving side takes nothing */
void sim_connection_reset(struct connection *connection);               /* both sides see -ECONNRESET */
void sim_connection_vanish(struct connection *connection); /* this side sees -ECONNRESET, the other side never notices */

/* While `taken`, the engine has no descriptors: it accepts no connection, and connecting fails with -EMFILE. */
void engine_sim_take_descriptors(struct engine *engine, bool taken);

/* Bytes that were sent to this side and that it has not consumed yet, for tests. */
size_t sim_connection_unread_bytes(const struct connection *connection);

#endif
