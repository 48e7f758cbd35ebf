/* What /healthz says. */
#ifndef CONTROL_HEALTH_H
#define CONTROL_HEALTH_H

#include "flashrelay/relay.h"

struct health {
    const struct relay *relay; /* set before the relay's threads start */
    uint64_t grace_ns;         /* how long all upstreams may be down at once before that is reported; 0: for ever */
    unsigned upstreams;        /* configured */
};

/*
 * As shard_options.health; `health` is a struct health. Writes the JSON body for the present state and returns the status, 200 or 503. Any
 * thread.
 */
int health_answer(void *health, char *body, size_t capacity);

#endif
