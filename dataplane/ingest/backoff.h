/*
 * Exponential back-off with jitter: 500 ms first, half as long again each time, each wait between half and one and a half
 * times that.
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

/* How long to wait before the next attempt; the one after it waits longer. */
uint64_t backoff_next(struct backoff *backoff, struct random *random);

/* Begins again with the first wait. */
void backoff_reset(struct backoff *backoff);

#endif
