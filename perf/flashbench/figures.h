/* The figures of a run: one list for the table, the comparison and the JSON. */
#ifndef PERF_FLASHBENCH_FIGURES_H
#define PERF_FLASHBENCH_FIGURES_H

#include "flashbench/run.h"

struct figure {
    const char *key;   /* in JSON */
    const char *title; /* in tables */
    const char *unit;
    int digits;                                  /* after the decimal point */
    double (*get)(const struct run_result *run); /* NAN: not known. NULL: the figure is a quantile of `recorder`, in ms */
    bool compared;                               /* its ratio between proxies is shown */
    size_t recorder;                             /* offset of a struct recorder in struct run_result */
    double quantile;                             /* 1: the maximum. The figure is NAN if the recorder has too few values */
};

/* The figure of a run; NAN where it is not known. */
double figure_get(const struct figure *figure, const struct run_result *run);

extern const struct figure figures[];
extern const unsigned figure_count;

/* A set of values, e.g. one figure over all rounds. */
struct figure_summary {
    double median, minimum, maximum;
    unsigned count; /* 0: no value */
};

/* Summarises the values that are not NAN; sorts them in place. */
struct figure_summary summarise(double *values, unsigned count);

#endif
