/*
 * The relay's own shard, TCP engine and port, with a population in place of a card and a publisher in the same thread. Time in which nothing
 * is to be done is left out by putting the clock forward.
 */
#ifndef PERF_BYPASS_RELAY_RIG_H
#define PERF_BYPASS_RELAY_RIG_H

#include "bypass_relay/meter.h"
#include "engine/tcp/host.h"
#include "flashrelay/channel.h"
#include "flashrelay/shard.h"
#include "population/population.h"

struct rig_options {
    uint32_t subscribers, bytes; /* of a frame's payload */
    uint16_t mtu;
    bool tso;
    uint64_t rtt_ns, interval_ns, seed;
    unsigned acks;
    double loss;
    uint64_t syns_per_s; /* SYNs from elsewhere (a flood) */
    uint32_t stalled;    /* clients that read nothing and stay */
    uint32_t rounds;     /* most frames that are sent: the log holds them all if subscribers stall */
};

struct rig {
    struct rig_options options;
    struct population *population;
    struct meter meter;
    struct channel_memory_source source;
    struct channel_marks *marks;
    struct channel *channel;
    struct host *host;
    struct port *port;
    struct admission admission;
    struct admission_queue answers;
    struct shard *shard;
    struct engine *engine;
    const struct tcp_counters *tcp; /* of the engine */
    struct waker *waker;
    uint8_t *payload;
    uint64_t sequence;    /* of the newest frame */
    uint64_t last_cycles; /* from the beginning of the last round until the last client that reads had the frame */
};

/* Creates a relay without connections. EAL must be started. 0 or a negative errno. rig_destroy frees it (NULL is allowed). */
int rig_create(struct rig **out, const struct rig_options *options);
void rig_destroy(struct rig *rig);

/* Connects all clients. Ends the program if that does not come to an end. */
void rig_connect(struct rig *rig);

/* Sends one frame to all, waits until every client that reads has acknowledged it, and lets the interval pass. */
void rig_run_round(struct rig *rig);

/* Segments that were sent again, as the engine counts them. */
uint64_t rig_resent(const struct rig *rig);

/* How many clients read. */
uint32_t rig_readers(const struct rig *rig);

/* Ends the program if something happened that must not. */
void rig_check(const struct rig *rig);

#endif
