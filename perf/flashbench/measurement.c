#include "flashbench/measurement.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ROUNDS  1000
#define BASELINE_NS (3 * NS_PER_S)

static struct run_result *slot(const struct bench_measurement *m, unsigned point, unsigned round, unsigned proxy)
{
    return &m->results[(point * m->rounds + round) * m->proxy_count + proxy];
}

int bench_measurement_init(struct bench_measurement *m)
{
    m->results = calloc((size_t)m->point_count * m->rounds * m->proxy_count, sizeof *m->results);
    return m->results ? 0 : -ENOMEM;
}

void bench_measurement_dispose(struct bench_measurement *m)
{
    for (unsigned i = 0; m->results && i < m->point_count * m->rounds * m->proxy_count; i++)
        run_result_dispose(&m->results[i]);
    free(m->results);
    m->results = NULL;
}

const struct run_result *bench_measurement_result(const struct bench_measurement *m, unsigned point, unsigned round,
                                                  unsigned proxy)
{
    return slot(m, point, round, proxy);
}

/* Measures the memory of the baseline proxy with a single subscriber. False if that failed. */
static bool measure_baseline(const struct bench_measurement *m, uint64_t *bytes)
{
    const struct run_point point = {1, m->points[0].bytes, m->points[0].interval_ns};
    struct run_options options = m->options;
    struct run_result *result = calloc(1, sizeof *result);

    if (result == 0)
        return false;
    options.duration_ns = BASELINE_NS;
    run_measure(&options, &point, m->baseline, NULL, NULL, result);
    *bytes = run_memory_bytes(&result->memory_after);
    if (result->failure[0] != '\0')
        fprintf(stderr, "flashbench: %s: %s\n", m->baseline->label, result->failure);
    run_result_dispose(result);
    free(result);
    return *bytes > 0;
}

/* Runs all proxies once; each round begins with another proxy. False if a run failed. */
static bool run_round(struct bench_measurement *m, unsigned point, unsigned round, run_progress *progress, void *context)
{
    for (unsigned i = 0; i < m->proxy_count && !run_interrupted; i++) {
        unsigned proxy = (i + round) % m->proxy_count;
        struct run_result *result = slot(m, point, round, proxy);

        run_measure(&m->options, &m->points[point], &m->proxies[proxy], progress, context, result);
        result->order = ++m->runs;
        if (result->failure[0] != '\0') {
            fprintf(stderr, "\nflashbench: %s: %s\n", m->proxies[proxy].label, result->failure);
            return false;
        }
    }
    return true;
}

bool bench_measurement_run(struct bench_measurement *m, run_progress *progress, void *context)
{
    uint64_t baseline_bytes = 0;
    bool good = !m->baseline || measure_baseline(m, &baseline_bytes);

    for (unsigned point = 0; point < m->point_count && !run_interrupted; point++) {
        for (unsigned round = 0; round < m->rounds && !run_interrupted && good; round++) {
            good = run_round(m, point, round, progress, context);
            for (unsigned proxy = 0; proxy < m->proxy_count; proxy++)
                slot(m, point, round, proxy)->memory_baseline_bytes = baseline_bytes;
            m->rounds_done[point] = round + 1;
        }
    }
    return good;
}

bool bench_measurement_is_flawed(const struct bench_measurement *m, unsigned point, unsigned proxy)
{
    for (unsigned round = 0; round < m->rounds_done[point]; round++)
        if (run_is_flawed(slot(m, point, round, proxy)))
            return true;
    return false;
}

static double value_of(const struct run_result *result, const struct figure *figure)
{
    return result->totals.messages > 0 ? figure_get(figure, result) : NAN;
}

struct figure_summary bench_measurement_figure(const struct bench_measurement *m, unsigned point, unsigned proxy,
                                               const struct figure *figure)
{
    double values[MAX_ROUNDS];

    for (unsigned round = 0; round < m->rounds_done[point]; round++)
        values[round] = value_of(slot(m, point, round, proxy), figure);
    return summarise(values, m->rounds_done[point]);
}

struct figure_summary bench_measurement_ratio(const struct bench_measurement *m, unsigned point, unsigned proxy, unsigned against,
                                              const struct figure *figure)
{
    double ratios[MAX_ROUNDS];

    for (unsigned round = 0; round < m->rounds_done[point]; round++) {
        double base = value_of(slot(m, point, round, against), figure);
        ratios[round] = base > 0 ? value_of(slot(m, point, round, proxy), figure) / base : NAN;
    }
    return summarise(ratios, m->rounds_done[point]);
}
