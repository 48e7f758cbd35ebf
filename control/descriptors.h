/*
 * How the process's file descriptors are shared out. Subscribers and handshakes may take all but a reserve, which is kept for what must work
 * however many subscribers connect: upstreams that reconnect, look-ups of their names, scrapes, the log.
 */
#ifndef CONTROL_DESCRIPTORS_H
#define CONTROL_DESCRIPTORS_H

#include "options/options.h"

struct descriptor_plan {
    unsigned limit;    /* descriptors that the process may have */
    unsigned reserved; /* of these, how many accepting leaves free */
};

/* Raises the soft limit to the hard one and decides on the reserve. To be called before many descriptors are needed. */
struct descriptor_plan descriptors_plan(const struct options *options);

/* How many connections, handshakes included, fit besides what is open now. To be called once the relay is created and before it runs. */
unsigned descriptors_room(const struct descriptor_plan *plan);

#endif
