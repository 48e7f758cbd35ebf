/* Reads a proxy's own metrics over HTTP, to report by how much they changed within the measured time. */
#ifndef PERF_FLASHBENCH_SCRAPE_H
#define PERF_FLASHBENCH_SCRAPE_H

#include "flashrelay/address.h"

/* All samples at `address`, /metrics, as "name{labels} value" lines, or NULL if there is no answer. Freed by the caller. */
char *scrape_counters(const struct address *address);

/*
 * Lines "name{labels} difference" of the samples that are in both texts, have `wanted` in their name or labels and changed, without
 * histogram buckets and quantiles. NULL if `before` or `after` is NULL. Freed by the caller.
 */
char *scrape_difference(const char *before, const char *after, const char *wanted);

#endif
