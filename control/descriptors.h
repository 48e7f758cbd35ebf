/*
 * How the process's file descriptors are shared out. Connections may take all but a reserve, which is kept for what must work however many
 * connect: upstreams that reconnect, look-ups of their names, scrapes, the log. Subscribers may take all of the connections' part but a
 * quarter, which is kept for the turnover: unfinished handshakes, refused and closing connections. These give way to each other while less
 * than half of the turnover is left, so that a new connection, such as a request for /healthz, always finds a descriptor.
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

/* How the connections' descriptors are shared out. */
struct descriptor_share {
    unsigned room;        /* connections of all kinds that fit besides what is open now */
    unsigned subscribers; /* of these, most subscribers: --instance-connection-limit, or what leaves the turnover its part */
    unsigned short_below; /* while fewer are left, other connections than subscribers give way */
};

/* Decides on the share. To be called once everything that stays open is open, and before the relay runs. */
struct descriptor_share descriptors_share(const struct descriptor_plan *plan, const struct options *options);

#endif
