/* A whole measurement: every point of the sweep, every proxy and every round, and the ratios between proxies. */
#ifndef PERF_FLASHBENCH_MEASUREMENT_H
#define PERF_FLASHBENCH_MEASUREMENT_H

#include "flashbench/figures.h"
#include "flashbench/run.h"

#define MEASUREMENT_MAX_PROXIES 16
#define MEASUREMENT_MAX_POINTS  64

struct bench_measurement {
    struct run_options options;
    struct proxy proxies[MEASUREMENT_MAX_PROXIES];
    unsigned proxy_count;
    struct run_point points[MEASUREMENT_MAX_POINTS];
    unsigned point_count;
    unsigned rounds;
    struct proxy *baseline;     /* run once with one subscriber: its memory is subtracted from the others'; or NULL */
    struct run_result *results; /* [point][round][proxy] */
    unsigned runs;              /* done so far */
    unsigned rounds_done[MEASUREMENT_MAX_POINTS];
};

/* Allocates the results. 0 or -ENOMEM; bench_measurement_dispose frees them. */
int bench_measurement_init(struct bench_measurement *measurement);
void bench_measurement_dispose(struct bench_measurement *measurement);

/* Makes all runs, or those before run_interrupted. False if a run failed, which ends the measurement; a flawed run does not end it. */
bool bench_measurement_run(struct bench_measurement *measurement, run_progress *progress, void *context);

const struct run_result *bench_measurement_result(const struct bench_measurement *measurement, unsigned point, unsigned round,
                                                  unsigned proxy);

/* True if a run of the proxy at that point was flawed (run_is_flawed), in any round. */
bool bench_measurement_is_flawed(const struct bench_measurement *measurement, unsigned point, unsigned proxy);

/* One figure of one proxy over the rounds. */
struct figure_summary bench_measurement_figure(const struct bench_measurement *measurement, unsigned point, unsigned proxy,
                                               const struct figure *figure);

/* The ratio of one figure of `proxy` to that of `against`, formed within each round. */
struct figure_summary bench_measurement_ratio(const struct bench_measurement *measurement, unsigned point, unsigned proxy,
                                              unsigned against, const struct figure *figure);

#endif
