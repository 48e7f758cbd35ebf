/* Prometheus' text format 0.0.4: families and their samples, written one after the other. */
#ifndef CONTROL_METRICS_EXPOSITION_H
#define CONTROL_METRICS_EXPOSITION_H

#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"
#include "metrics/labels.h"

#include <stdint.h>
#include <stdio.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_SUMMARY };

struct exposition {
    FILE *out;
    const struct label_set *global; /* on every sample, unless the sample has a label of that name itself */
    const char *family;             /* the current one */
};

/* Labels of a sample: (const struct label[]){{"name", "value"}, {NULL, NULL}}, or NULL for none. */
#define NO_LABELS ((const struct label *)NULL)

/* Begins a family: its HELP and TYPE. `name` must live as long as its samples are written. */
void exposition_family(struct exposition *exposition, const char *name, enum metric_type type, const char *help);

/* A sample of a counter or gauge. */
void exposition_value(struct exposition *exposition, const struct label *labels, uint64_t value);

/*
 * A histogram: cumulative buckets at the limits 2^first_power - 1 ... 2^last_power - 1, exact because the histogram's own buckets
 * end there, then sum and count; a recorded 1 is shown as `unit` (1e-9 for ns shown as seconds).
 */
void exposition_histogram(struct exposition *exposition, const struct label *labels, const struct histogram *histogram,
                          unsigned first_power, unsigned last_power, double unit);

/* A summary with the quantiles 0, 0.5, 0.9, 0.95, 0.99, 0.999 and 1 of `recent`, then sum and count of `all`. */
void exposition_summary(struct exposition *exposition, const struct label *labels, const struct histogram *recent,
                        const struct histogram *all, double unit);

#endif
