/*
 * What a histogram that only grows has counted lately: since the beginning of the oldest of ROLLING_WINDOWS windows. So do the reference
 * proxies (metrics-exporter-prometheus' summaries), whose quantiles forget what is older. Any thread; each call holds a lock for moments.
 */
#ifndef CONTROL_METRICS_ROLLING_H
#define CONTROL_METRICS_ROLLING_H

#include "flashrelay/clock.h"
#include "flashrelay/histogram.h"

#include <pthread.h>

#define ROLLING_WINDOWS   3
#define ROLLING_WINDOW_NS (20 * NS_PER_S)

struct rolling {
    pthread_mutex_t lock;
    struct histogram begins[ROLLING_WINDOWS]; /* what had been counted when each window began, the current one first */
    uint64_t next_ns;                         /* when the next one begins */
};

/* The first window begins; nothing has been counted. */
void rolling_init(struct rolling *rolling, uint64_t now_ns);
void rolling_dispose(struct rolling *rolling);

/* Begins the windows that are due, with `counted` as all that was counted so far. Returns when the next one is. */
uint64_t rolling_turn(struct rolling *rolling, const struct histogram *counted, uint64_t now_ns);

/* What of `counted`, all so far, is of these windows; `recent` begins zeroed. */
void rolling_recent(struct rolling *rolling, const struct histogram *counted, struct histogram *recent);

#endif
