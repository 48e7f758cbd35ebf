/*
 * What a histogram that only grows has counted recently: since the beginning of the oldest of ROLLING_WINDOWS windows. The reference
 * proxies do the same (metrics-exporter-prometheus' summaries): their quantiles forget older values. Any thread; each call takes a short lock.
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
    struct histogram begins[ROLLING_WINDOWS]; /* copies of the histogram when each window began, the current window first */
    uint64_t next_ns;                         /* when the next one begins */
};

/* The first window begins; nothing has been counted. */
void rolling_init(struct rolling *rolling, uint64_t now_ns);
void rolling_dispose(struct rolling *rolling);

/* Begins the windows that are due; `counted` is the histogram now. Returns when the next window is due. */
uint64_t rolling_turn(struct rolling *rolling, const struct histogram *counted, uint64_t now_ns);

/* Leaves in `recent`, which begins zeroed, what `counted`, the histogram now, has counted in these windows. */
void rolling_recent(struct rolling *rolling, const struct histogram *counted, struct histogram *recent);

#endif
