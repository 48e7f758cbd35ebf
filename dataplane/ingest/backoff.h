/*
 * Exponential back-off with jitter: the interval is 500 ms at first and grows by half each time; a wait is drawn between 0.5 and 1.5 times
 * the interval.
 */
#ifndef DATAPLANE_INGEST_BACKOFF_H
#define DATAPLANE_INGEST_BACKOFF_H

#include "flashrelay/random.h"

#include <stdint.h>

struct backoff {
    uint64_t interval_ns; /* before jitter */
    uint64_t maximum_ns;  /* no wait is longer, jitter included */
};

void backoff_init(struct backoff *backoff, uint64_t maximum_ns);

/* Returns how long to wait before the next attempt, in ns; lengthens the interval for the attempt after it. */
uint64_t backoff_next(struct backoff *backoff, struct random *random);

/* Begins again with the first interval. */
void backoff_reset(struct backoff *backoff);

#endif
