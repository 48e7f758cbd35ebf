/*
 * The broadcast TCP: an engine with a TCP of its own, over any port. Every subscriber gets the same bytes, so there is no send buffer: what
 * was lost is sent again from the log. The files of this folder make no system call and read no clock but the port's.
 */
#ifndef DATAPLANE_ENGINE_TCP_TCP_H
#define DATAPLANE_ENGINE_TCP_TCP_H

#include "engine/tcp/host.h"
#include "flashrelay/engine.h"

struct tcp_options {
    struct port *port; /* the queue pair of this engine's thread; must outlive the engine */
    struct host *host; /* shared by the engines of all queue pairs; must outlive them */
    unsigned index;    /* of the engine among those of the host; 0 handles ARP, neighbour discovery and ICMP for all */
    uint64_t seed;     /* 0: keys come from the system; else tests' keys come from this seed */
};

/* Creates an engine, which listens once engine_listen is called. 0 or -ENOMEM. engine_destroy frees it; the port must have no epoch left. */
int tcp_engine_create(struct engine **out, const struct engine_options *options, const struct tcp_options *tcp);

#endif
