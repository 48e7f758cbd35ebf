#include "flashbench/figures.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* `ns` divided by `count`, in units of `unit_ns`; NAN if `count` is 0. */
static double per(uint64_t ns, double count, double unit_ns)
{
    return count > 0 ? (double)ns / unit_ns / count : NAN;
}

static double cpu_per_delivery(const struct run_result *run)
{
    return run->usage.is_known ? per(run->usage.total.cpu_ns, (double)run->totals.deliveries, 1e3) : NAN;
}

static double all_cpu_per_delivery(const struct run_result *run)
{
    const struct proxy_usage *usage = &run->usage;

    return usage->is_known && usage->softirq_is_known
               ? per(usage->total.cpu_ns + usage->total_softirq_ns, (double)run->totals.deliveries, 1e3)
               : NAN;
}

static double cpu_per_second(const struct run_result *run)
{
    return run->usage.is_known ? per(run->usage.timed.cpu_ns, run->usage.seconds, 1e6) : NAN;
}

static double all_cpu_per_second(const struct run_result *run)
{
    const struct proxy_usage *usage = &run->usage;

    return usage->is_known && usage->softirq_is_known ? per(usage->timed.cpu_ns + usage->timed_softirq_ns, usage->seconds, 1e6)
                                                      : NAN;
}

/* The distance between the lowest and the highest mean rank of a subscriber: 0 is fair, 1 is always the same order. */
static double unfairness(const struct run_result *run)
{
    return run->rank_count > 1 ? run->ranks[run->rank_count - 1] - run->ranks[0] : NAN;
}

static double memory_per_subscriber(const struct run_result *run)
{
    double before = (double)(run->memory_baseline_bytes > 0 ? run->memory_baseline_bytes : run_memory_bytes(&run->memory_before));
    double after = (double)run_memory_bytes(&run->memory_after);

    return after > 0 && run->point.subscribers > 0 ? (after - before) / (double)run->point.subscribers : NAN;
}

static double rss(const struct run_result *run)
{
    return run->memory_after.rss_bytes > 0 ? (double)(run->memory_after.rss_bytes + run->memory_after.huge_bytes) / 1e6 : NAN;
}

static double switches(const struct run_result *run)
{
    const struct process_usage *usage = &run->usage.total;

    return run->totals.messages > 0 && run->usage.is_known
               ? (double)(usage->voluntary_switches + usage->involuntary_switches) / (double)run->totals.messages
               : NAN;
}

static double system_calls(const struct run_result *run)
{
    return run->usage.system_calls > 0 ? (double)run->usage.system_calls / (double)run->totals.messages : NAN;
}

/* Share of the time during which the proxy was ready to run and another process had its core. */
static double waited_percent(const struct run_result *run)
{
    return run->usage.is_known ? per(run->usage.timed.wait_ns, run->usage.seconds, 1e7) : NAN;
}

/* Resident memory at the end, less that after a sixth of the time: for 30 minutes, that after 5. */
static double rss_growth(const struct run_result *run)
{
    double end_s = run->memory_points > 0 ? run->memory_line[run->memory_points - 1].at_s : 0;

    for (unsigned i = 0; i + 1 < run->memory_points; i++)
        if (run->memory_line[i].at_s >= end_s / 6)
            return ((double)run->memory_line[run->memory_points - 1].rss_bytes - (double)run->memory_line[i].rss_bytes) / 1e3;
    return NAN;
}

static double deliveries(const struct run_result *run)
{
    return (double)run->totals.deliveries;
}

static double lost(const struct run_result *run)
{
    return (double)run->totals.lost;
}

static double wrong(const struct run_result *run)
{
    return (double)run_wrong(run);
}

static double cut_off(const struct run_result *run)
{
    return (double)run->crowd.cut_off[CROWD_READER];
}

#define STAMPED(recorder) offsetof(struct run_result, totals.stamped.recorder)
#define READ(recorder)    offsetof(struct run_result, totals.read.recorder)

const struct figure figures[] = {
    {"cpu_with_softirq_us_per_delivery", "CPU per delivery, with ksoftirqd", "us", 2, all_cpu_per_delivery, true, 0, 0},
    {"cpu_us_per_delivery", "  its processes alone", "us", 2, cpu_per_delivery, true, 0, 0},
    {"cpu_with_softirq_ms_per_second", "CPU per second, with ksoftirqd", "ms", 1, all_cpu_per_second, true, 0, 0},
    {"cpu_ms_per_second", "  its processes alone", "ms", 1, cpu_per_second, true, 0, 0},
    {"first_ms", "first subscriber, median", "ms", 3, NULL, true, STAMPED(first), 0.5},
    {"first_read_ms", "  when read", "ms", 3, NULL, true, READ(first), 0.5},
    {"median_ms", "median subscriber, median", "ms", 3, NULL, true, STAMPED(median), 0.5},
    {"median_read_ms", "  when read", "ms", 3, NULL, true, READ(median), 0.5},
    {"last_ms", "last subscriber, median", "ms", 3, NULL, true, STAMPED(last), 0.5},
    {"last_read_ms", "  when read", "ms", 3, NULL, true, READ(last), 0.5},
    {"last_p99_ms", "last subscriber, p99", "ms", 3, NULL, true, STAMPED(last), 0.99},
    {"last_read_p99_ms", "  when read", "ms", 3, NULL, true, READ(last), 0.99},
    {"spread_ms", "last less first, median", "ms", 3, NULL, true, STAMPED(spread), 0.5},
    {"spread_read_ms", "  when read", "ms", 3, NULL, true, READ(spread), 0.5},
    {"latency_p50_ms", "any delivery, p50", "ms", 3, NULL, true, STAMPED(delivery), 0.5},
    {"latency_read_p50_ms", "  when read", "ms", 3, NULL, true, READ(delivery), 0.5},
    {"latency_p99_ms", "any delivery, p99", "ms", 3, NULL, true, STAMPED(delivery), 0.99},
    {"latency_read_p99_ms", "  when read", "ms", 3, NULL, true, READ(delivery), 0.99},
    {"latency_p99.9_ms", "any delivery, p99.9", "ms", 3, NULL, true, STAMPED(delivery), 0.999},
    {"latency_read_p99.9_ms", "  when read", "ms", 3, NULL, true, READ(delivery), 0.999},
    {"latency_p99.99_ms", "any delivery, p99.99", "ms", 3, NULL, true, STAMPED(delivery), 0.9999},
    {"latency_p99.999_ms", "any delivery, p99.999", "ms", 3, NULL, true, STAMPED(delivery), 0.99999},
    {"latency_max_ms", "any delivery, worst", "ms", 3, NULL, true, STAMPED(delivery), 1},
    {"latency_read_max_ms", "  when read", "ms", 3, NULL, true, READ(delivery), 1},
    {"unfairness", "mean ranks' spread (0: fair)", "", 3, unfairness, false, 0, 0},
    {"memory_bytes_per_subscriber", "memory per subscriber", "B", 0, memory_per_subscriber, true, 0, 0},
    {"rss_mb", "resident, huge pages included", "MB", 1, rss, true, 0, 0},
    {"rss_growth_kb", "its growth since 1/6 of the time", "kB", 0, rss_growth, false, 0, 0},
    {"system_calls_per_message", "system calls per message", "", 1, system_calls, false, 0, 0},
    {"waited_percent", "proxy waited for its core", "%", 1, waited_percent, false, 0, 0},
    {"switches_per_message", "context switches per message", "", 1, switches, false, 0, 0},
    {"deliveries", "deliveries", "", 0, deliveries, false, 0, 0},
    {"lost", "lost", "", 0, lost, false, 0, 0},
    {"wrong", "repeated, reordered, corrupt, late", "", 0, wrong, false, 0, 0},
    {"cut_off", "readers cut off", "", 0, cut_off, false, 0, 0},
    {"builder_late_ms", "builder late, median", "ms", 3, NULL, false, offsetof(struct run_result, lateness), 0.5},
    {"builder_late_max_ms", "builder late, worst", "ms", 3, NULL, false, offsetof(struct run_result, lateness), 1},
};
const unsigned figure_count = sizeof figures / sizeof figures[0];

double figure_get(const struct figure *figure, const struct run_result *run)
{
    if (figure->get)
        return figure->get(run);
    const struct recorder *recorder = (const struct recorder *)((const char *)run + figure->recorder);
    return recorder_supports(recorder, figure->quantile) ? (double)recorder_quantile(recorder, figure->quantile) / 1e6 : NAN;
}

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct figure_summary summarise(double *values, unsigned count)
{
    unsigned known = 0;

    for (unsigned i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[known++] = values[i];
    if (known == 0)
        return (struct figure_summary){NAN, NAN, NAN, 0};
    qsort(values, known, sizeof(double), compare_values);
    double median = known % 2 == 1 ? values[known / 2] : (values[known / 2 - 1] + values[known / 2]) / 2;
    return (struct figure_summary){median, values[0], values[known - 1], known};
}
