/* A proxy's own metrics, read over HTTP: by how much its counters grew within the measured time. */
#ifndef PERF_FLASHBENCH_SCRAPE_H
#define PERF_FLASHBENCH_SCRAPE_H

#include "flashrelay/address.h"

/* All samples at `address`, /metrics, as "name{labels} value" lines, or NULL if there is no answer. Freed by the caller. */
char *scrape_counters(const struct address *address);

/*
 * Lines "name{labels} difference" of what is in both, has `wanted` in its name and changed, without histogram buckets and quantiles; NULL
 * if either is. Freed by the caller.
 */
char *scrape_difference(const char *before, const char *after, const char *wanted);

#endif
