/* Reads a proxy's own metrics over HTTP, to report by how much they changed within the measured time. */
#ifndef TOOLS_COMMON_SCRAPE_H
#define TOOLS_COMMON_SCRAPE_H

#include "flashrelay/address.h"

#include <stdbool.h>

/* All samples at `address`, /metrics, as "name{labels} value" lines, or NULL if there is no answer. Freed by the caller. */
char *scrape_counters(const struct address *address);

/* Adds up the samples called `name`, whatever their labels. False if there are none, or `samples` is NULL. */
bool scrape_sum(const char *samples, const char *name, double *sum);

/*
 * Lines "name{labels} difference" of the samples that are in both texts, have `wanted` in their name or labels and changed, without
 * histogram buckets and quantiles. NULL if `before` or `after` is NULL. Freed by the caller.
 */
char *scrape_difference(const char *before, const char *after, const char *wanted);

#endif
