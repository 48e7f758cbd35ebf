/* The figures of a run: one list for the table, the comparison and the JSON. */
#ifndef PERF_FLASHBENCH_FIGURES_H
#define PERF_FLASHBENCH_FIGURES_H

#include "flashbench/run.h"

struct figure {
    const char *key;   /* in JSON */
    const char *title; /* in tables */
    const char *unit;
    int digits;                                  /* after the point */
    double (*get)(const struct run_result *run); /* NAN: not known */
    bool compared;                               /* a ratio of it is shown */
};

extern const struct figure figures[];
extern const unsigned figure_count;

/* A set of values, e.g. one figure over all rounds. */
struct figure_summary {
    double median, minimum, maximum;
    unsigned count; /* 0: no value */
};

/* Of the values that are not NAN; sorts them in place. */
struct figure_summary summarise(double *values, unsigned count);

#endif
