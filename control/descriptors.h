/*
 * How the process's file descriptors are shared out. Subscribers and handshakes may take all but a reserve, which is left for what must go
 * on whoever connects: upstreams that reconnect, look-ups of their names, scrapes, the log.
 */
#ifndef CONTROL_DESCRIPTORS_H
#define CONTROL_DESCRIPTORS_H

#include "options/options.h"

struct descriptor_plan {
    unsigned limit;    /* of the process */
    unsigned reserved; /* of them, what accepting leaves free */
};

/* Raises the soft limit to the hard one and shares it out. Before descriptors are needed in numbers. */
struct descriptor_plan descriptors_plan(const struct options *options);

/* How many connections there is room for, handshakes among them, besides what is open now: once the relay is made, before it runs. */
unsigned descriptors_room(const struct descriptor_plan *plan);

#endif
