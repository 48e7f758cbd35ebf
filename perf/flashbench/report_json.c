#include "flashbench/report.h"

#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define RANK_POINTS 101

static void add_string(struct text *out, const char *string)
{
    text_add(out, "\"", 1);
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_format(out, "\\%c", *c);
        else if (*c < ' ')
            text_format(out, "\\u%04x", *c);
        else
            text_add(out, (const char *)c, 1);
    }
    text_add(out, "\"", 1);
}

static void add_number(struct text *out, double value)
{
    if (isnan(value) || isinf(value))
        text_add_string(out, "null");
    else
        text_format(out, "%.9g", value);
}

static void add_key(struct text *out, const char *key)
{
    add_string(out, key);
    text_add(out, ":", 1);
}

static void add_field(struct text *out, const char *key, double value)
{
    add_key(out, key);
    add_number(out, value);
    text_add(out, ",", 1);
}

/* Closes an object or array; its last comma is removed. */
static void close_with(struct text *out, const char *bracket)
{
    if (out->bytes[out->length - 1] == ',')
        out->length--;
    text_add_string(out, bracket);
    text_add(out, ",", 1);
}

/* [[quantile, ms], ...]: five steps per halving of the share above the quantile, as HdrHistogram prints them. */
static void add_distribution(struct text *out, const char *key, const struct recorder *recorder)
{
    add_key(out, key);
    text_format(out, "{\"count\":%llu,\"mean_ms\":", (unsigned long long)recorder->count);
    add_number(out, recorder_mean(recorder) / 1e6);
    text_add_string(out, ",\"quantiles\":[");
    for (double above = 1; recorder->count > 0 && above * (double)recorder->count > 0.999; above /= pow(2, 0.2))
        text_format(out, "[%.8g,%.6g],", 1 - above, (double)recorder_quantile(recorder, 1 - above) / 1e6);
    if (recorder->count > 0)
        text_format(out, "[1,%.6g]", (double)recorder->maximum / 1e6);
    close_with(out, "]}");
}

static void add_time_line(struct text *out, const struct message_totals *totals)
{
    add_key(out, "time_line");
    text_add_string(out, "[");
    for (uint32_t i = 0; i < totals->point_count; i++)
        text_format(out, "[%.6g,%.6g,%.6g,%.6g],", (double)totals->points[i].at_ns / 1e9, totals->points[i].first_us / 1e3,
                    totals->points[i].median_us / 1e3, totals->points[i].last_us / 1e3);
    close_with(out, "]");
}

static void add_memory_line(struct text *out, const struct run_result *run)
{
    add_key(out, "memory_line");
    text_add_string(out, "[");
    for (unsigned i = 0; i < run->memory_points; i++)
        text_format(out, "[%.6g,%.9g],", run->memory_line[i].at_s, (double)run->memory_line[i].rss_bytes / 1e6);
    close_with(out, "]");
}

/* The readers' mean ranks, ascending; at most RANK_POINTS of them, evenly chosen. */
static void add_ranks(struct text *out, const struct run_result *run)
{
    add_key(out, "mean_ranks");
    text_add_string(out, "[");
    uint32_t points = run->rank_count < RANK_POINTS ? run->rank_count : RANK_POINTS;
    for (uint32_t i = 0; i < points; i++)
        text_format(out, "%.5g,", run->ranks[points > 1 ? (uint64_t)i * (run->rank_count - 1) / (points - 1) : 0]);
    close_with(out, "]");
}

static void add_counts(struct text *out, const struct run_result *run)
{
    const struct message_totals *totals = &run->totals;

    add_key(out, "counts");
    text_add_string(out, "{");
    add_field(out, "messages", (double)totals->messages);
    add_field(out, "owed", (double)totals->owed);
    add_field(out, "deliveries", (double)totals->deliveries);
    add_field(out, "verified_whole", (double)totals->verified_whole);
    add_field(out, "bytes", (double)totals->bytes);
    add_field(out, "lost", (double)totals->lost);
    add_field(out, "late", (double)totals->late);
    add_field(out, "repeated", (double)totals->repeated);
    add_field(out, "reordered", (double)totals->reordered);
    add_field(out, "corrupt", (double)totals->corrupt);
    add_field(out, "protocol_errors", (double)run->crowd.protocol_errors);
    add_field(out, "connects", (double)run->crowd.connects);
    add_field(out, "refused", (double)run->crowd.refused);
    add_field(out, "readers_cut_off", (double)run->crowd.cut_off[CROWD_READER]);
    add_field(out, "slow_cut_off", (double)run->crowd.cut_off[CROWD_SLOW]);
    add_field(out, "stalled_cut_off", (double)run->crowd.cut_off[CROWD_STALLED]);
    add_field(out, "peak_backlog", (double)run->peak_backlog);
    close_with(out, "}");
    add_key(out, "close_codes");
    text_add_string(out, "{");
    for (unsigned code = 0; code < sizeof run->crowd.close_codes / sizeof run->crowd.close_codes[0]; code++)
        if (run->crowd.close_codes[code] > 0)
            text_format(out, "\"%u\":%llu,", code, (unsigned long long)run->crowd.close_codes[code]);
    close_with(out, "}");
}

static void add_own(struct text *out, const struct run_result *run)
{
    add_key(out, "flashbench");
    text_add_string(out, "{");
    add_field(out, "busy_share", run->busy_share);
    add_field(out, "kernel_stamps", (double)run->crowd.kernel_stamps);
    add_field(out, "read_delay_p50_ms", (double)recorder_quantile(&run->crowd.read_delay, 0.5) / 1e6);
    add_field(out, "read_delay_p99_ms", (double)recorder_quantile(&run->crowd.read_delay, 0.99) / 1e6);
    text_format(out, "\"was_bottleneck\":%s", run->was_bottleneck ? "true" : "false");
    close_with(out, "}");
}

/* The processes whose CPU and memory were measured. */
static void add_proxy(struct text *out, const struct proxy_usage *usage)
{
    add_key(out, "proxy");
    text_add_string(out, "{");
    if (usage->is_known) {
        add_field(out, "process_group", usage->group);
        add_field(out, "processes", usage->processes);
        add_key(out, "programs");
        add_string(out, usage->programs);
        text_add_string(out, ",");
        add_key(out, "cores");
        text_add_string(out, "[");
        for (unsigned core = 0; core < CPU_SETSIZE; core++)
            if (CPU_ISSET(core, &usage->cores))
                text_format(out, "%u,", core);
        close_with(out, "]");
        text_format(out, "\"shares_cores\":%s", usage->shares_cores ? "true" : "false");
    }
    close_with(out, "}");
}

static void add_point(struct text *out, const struct run_point *point)
{
    add_key(out, "point");
    text_format(out, "{\"subscribers\":%llu,\"bytes\":%llu,\"interval_ms\":%.6g},", (unsigned long long)point->subscribers,
                (unsigned long long)point->bytes, (double)point->interval_ns / 1e6);
}

static void add_run(struct text *out, const struct run_result *run, unsigned round)
{
    text_add_string(out, "{");
    add_key(out, "label");
    add_string(out, run->proxy->label);
    text_add_string(out, ",");
    add_key(out, "command");
    add_string(out, run->proxy->command);
    text_format(out, ",\"round\":%u,\"order\":%u,\"complete\":%s,\"flawed\":%s,", round + 1, run->order,
                run->complete ? "true" : "false", run_is_flawed(run) ? "true" : "false");
    add_point(out, &run->point);
    add_field(out, "seconds", run->usage.seconds);
    add_proxy(out, &run->usage);
    add_key(out, "figures");
    text_add_string(out, "{");
    for (unsigned i = 0; i < figure_count; i++)
        add_field(out, figures[i].key, figure_get(&figures[i], run));
    close_with(out, "}");
    add_counts(out, run);
    add_own(out, run);
    add_field(out, "pss_bytes", (double)run->memory_after.pss_bytes);
    add_field(out, "huge_bytes", (double)run->memory_after.huge_bytes);
    add_field(out, "memory_baseline_bytes", (double)run->memory_baseline_bytes);
    add_distribution(out, "latency", &run->totals.stamped.delivery);
    add_distribution(out, "latency_read", &run->totals.read.delivery);
    add_distribution(out, "first", &run->totals.stamped.first);
    add_distribution(out, "median", &run->totals.stamped.median);
    add_distribution(out, "last", &run->totals.stamped.last);
    add_time_line(out, &run->totals);
    add_memory_line(out, run);
    add_ranks(out, run);
    if (run->scraped) {
        add_key(out, "metrics_changed");
        add_string(out, run->scraped);
    }
    close_with(out, "}\n");
}

static void add_ratios(struct text *out, const struct bench_measurement *m, unsigned point)
{
    unsigned subject = m->proxy_count - 1;

    for (unsigned against = 0; against < subject; against++) {
        bool flawed = bench_measurement_is_flawed(m, point, subject) || bench_measurement_is_flawed(m, point, against);
        for (unsigned i = 0; i < figure_count; i++) {
            struct figure_summary ratio = bench_measurement_ratio(m, point, subject, against, &figures[i]);
            if (!figures[i].compared || ratio.count == 0)
                continue;
            text_add_string(out, "{");
            add_point(out, &m->points[point]);
            add_key(out, "of");
            add_string(out, m->proxies[subject].label);
            text_add_string(out, ",");
            add_key(out, "against");
            add_string(out, m->proxies[against].label);
            text_add_string(out, ",");
            add_key(out, "figure");
            add_string(out, figures[i].key);
            text_add_string(out, ",");
            add_field(out, "median", ratio.median);
            add_field(out, "minimum", ratio.minimum);
            add_field(out, "maximum", ratio.maximum);
            add_field(out, "pairs", ratio.count);
            text_format(out, "\"flawed\":%s", flawed ? "true" : "false");
            close_with(out, "}\n");
        }
    }
}

static void add_host(struct text *out)
{
    struct utsname name;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm utc;

    if (gmtime_r(&now, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    uname(&name);
    text_add_string(out, "\"when\":");
    add_string(out, when);
    text_add_string(out, ",\"kernel\":");
    add_string(out, name.release);
    text_add_string(out, ",\"machine\":");
    add_string(out, name.machine);
    text_format(out, ",\"cores\":%ld,", sysconf(_SC_NPROCESSORS_ONLN));
}

static void add_options(struct text *out, const struct run_options *options)
{
    add_key(out, "options");
    text_add_string(out, "{");
    add_field(out, "warm_up_s", (double)options->warm_up_ns / 1e9);
    add_field(out, "duration_s", (double)options->duration_ns / 1e9);
    add_field(out, "burst", (double)options->burst);
    add_field(out, "churn_per_s", (double)options->churn_per_s);
    add_field(out, "stalled", (double)options->stalled);
    add_field(out, "slow", (double)options->slow);
    add_field(out, "reconnect_ms", (double)options->reconnect_ns / 1e6);
    add_field(out, "verify_every", (double)options->verify_every);
    text_format(out, "\"receivers_softirq\":%s,", options->receivers_softirq ? "true" : "false");
    close_with(out, "}");
}

void report_json(const struct bench_measurement *m, struct text *out)
{
    text_add_string(out, REPORT_JSON_BEGINNING);
    add_host(out);
    add_options(out, &m->options);
    text_add_string(out, "\"runs\":[\n");
    for (unsigned point = 0; point < m->point_count; point++)
        for (unsigned round = 0; round < m->rounds_done[point]; round++)
            for (unsigned proxy = 0; proxy < m->proxy_count; proxy++)
                if (bench_measurement_result(m, point, round, proxy)->totals.messages > 0)
                    add_run(out, bench_measurement_result(m, point, round, proxy), round);
    close_with(out, "]");
    text_add_string(out, "\"ratios\":[\n");
    for (unsigned point = 0; point < m->point_count; point++)
        add_ratios(out, m, point);
    close_with(out, "]");
    out->length--;
    text_add_string(out, "}\n");
}
