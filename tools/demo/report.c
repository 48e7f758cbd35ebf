#include "demo/report.h"

#include "common/scrape.h"
#include "flashrelay/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_BYTES 32

/* A number with commas between thousands. */
static const char *number(uint64_t value, char text[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *out = text;

    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

static double milliseconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_MS;
}

/* Bytes of the relay's memory that each subscriber costs. */
static uint64_t subscriber_bytes(const struct report *report, const struct rig_figures *figures)
{
    uint64_t now = figures->memory.pss_bytes + figures->memory.huge_bytes;
    uint64_t before = figures->baseline.pss_bytes + figures->baseline.huge_bytes;

    return now > before ? (now - before) / report->subscribers : 0;
}

static double cpu_us_per_delivery(uint64_t cpu_ns, uint64_t deliveries)
{
    return deliveries > 0 ? (double)cpu_ns / (double)NS_PER_US / (double)deliveries : 0;
}

static struct tcp_figures tcp_figures_get(const struct report *report)
{
    struct tcp_figures figures = {0};
    char *samples = report->metrics ? scrape_counters(report->metrics) : NULL;

    figures.known = scrape_sum(samples, "flashrelay_tcp_sent_segments_total", &figures.segments) &&
                    scrape_sum(samples, "flashrelay_tcp_retransmitted_segments_total", &figures.retransmitted);
    free(samples);
    return figures;
}

void report_begin(struct report *report, struct rig *rig, uint32_t subscribers, const struct address *metrics)
{
    *report = (struct report){
        .rig = rig,
        .metrics = metrics,
        .subscribers = subscribers,
        .on_terminal = isatty(STDOUT_FILENO) == 1,
        .started_ns = clock_monotonic_ns(),
        .next_sequence = 1,
    };
    report->second_ns = report->started_ns;
    rig_figures_get(rig, &report->at_start);
    report->at_second = report->at_start;
    report->tcp_at_start = tcp_figures_get(report);
    report->tcp_at_second = report->tcp_at_start;
    printf("%5s %6s %13s %26s %14s %11s%s\n", "", "flash-", "deliveries", "latency ms", "relay CPU us", "memory per",
           metrics ? "    segments    sent" : "");
    printf("%5s %6s %13s %8s %8s %8s %14s %11s%s\n", "time", "blocks", "per second", "p50", "p99", "last", "per delivery",
           "subscriber", metrics ? "  per second   again" : "");
    fflush(stdout);
}

/* Adds to `last` the latency of the last subscriber, for every flashblock that all subscribers have by now. */
static void collect_last(struct report *report, struct histogram *last)
{
    struct ledger *ledger = rig_ledger(report->rig);
    struct ledger_entry entry;

    while (ledger_find(ledger, report->next_sequence, &entry) && entry.deliveries >= report->subscribers) {
        histogram_record(last, entry.last_ns - entry.offered_ns, 1);
        report->next_sequence++;
    }
}

/* Takes the latencies since the last call, and adds them to those of the whole run. */
static void collect(struct report *report, struct histogram *latency, struct histogram *last)
{
    memset(latency, 0, sizeof *latency);
    memset(last, 0, sizeof *last);
    ledger_take_latency(rig_ledger(report->rig), latency);
    collect_last(report, last);
    histogram_merge(&report->latency, latency);
    histogram_merge(&report->last, last);
}

/* Prints how many segments went out since the last line, and how many of them a second time. */
static void print_tcp(struct report *report, double seconds)
{
    struct tcp_figures figures;
    char rate[NUMBER_BYTES], again[NUMBER_BYTES];

    if (!report->metrics)
        return;
    figures = tcp_figures_get(report);
    if (figures.known && report->tcp_at_second.known)
        printf(" %11s %7s", number((uint64_t)((figures.segments - report->tcp_at_second.segments) / seconds), rate),
               number((uint64_t)(figures.retransmitted - report->tcp_at_second.retransmitted), again));
    else
        printf(" %11s %7s", "?", "?");
    report->tcp_at_second = figures;
}

void report_line(struct report *report)
{
    static struct histogram latency, last;
    uint64_t now_ns = clock_monotonic_ns();
    double seconds = (double)(now_ns - report->second_ns) / (double)NS_PER_S;
    struct rig_figures figures;
    uint64_t deliveries;
    char rate[NUMBER_BYTES], bytes[NUMBER_BYTES];

    rig_figures_get(report->rig, &figures);
    collect(report, &latency, &last);
    deliveries = figures.tally->deliveries - report->deliveries_at_second;
    printf("%s%4.0fs %6" PRIu64 " %13s %8.2f %8.2f %8.2f %14.2f %9s B", report->on_terminal ? "\r" : "",
           (double)(now_ns - report->started_ns) / (double)NS_PER_S, figures.published - report->at_second.published,
           number((uint64_t)((double)deliveries / seconds), rate), milliseconds(histogram_quantile(&latency, 0.5)),
           milliseconds(histogram_quantile(&latency, 0.99)), milliseconds(histogram_quantile(&last, 0.5)),
           cpu_us_per_delivery(figures.relay_cpu_ns - report->at_second.relay_cpu_ns, deliveries),
           number(subscriber_bytes(report, &figures), bytes));
    print_tcp(report, seconds);
    if (figures.cut_off > 0)
        printf("  %" PRIu64 " cut off", figures.cut_off);
    fputs(report->on_terminal ? "\033[K" : "\n", stdout);
    fflush(stdout);
    report->at_second = figures;
    report->deliveries_at_second = figures.tally->deliveries;
    report->second_ns = now_ns;
}

static void summarize_tcp(const struct report *report)
{
    struct tcp_figures figures = tcp_figures_get(report);
    char segments[NUMBER_BYTES], again[NUMBER_BYTES];

    if (figures.known)
        printf("  TCP: %s segments sent, %s of them again\n",
               number((uint64_t)(figures.segments - report->tcp_at_start.segments), segments),
               number((uint64_t)(figures.retransmitted - report->tcp_at_start.retransmitted), again));
}

bool report_summary(struct report *report)
{
    static struct histogram latency, last;
    struct rig_figures figures;
    const struct ledger_tally *tally;
    char subscribers[NUMBER_BYTES], published[NUMBER_BYTES], deliveries[NUMBER_BYTES], bytes[NUMBER_BYTES];

    rig_figures_get(report->rig, &figures);
    collect(report, &latency, &last);
    tally = figures.tally;
    printf("\n%s flashblocks to %s subscribers: %s deliveries, each compared byte by byte\n",
           number(figures.published, published), number(report->subscribers, subscribers), number(tally->deliveries, deliveries));
    printf("  lost %" PRIu64 ", repeated %" PRIu64 ", corrupt %" PRIu64 ", cut off %" PRIu64 "\n", tally->lost, tally->repeated,
           tally->corrupt, figures.cut_off);
    printf("  latency p50 %.2f ms, p99 %.2f ms, last subscriber %.2f ms (median)\n",
           milliseconds(histogram_quantile(&report->latency, 0.5)), milliseconds(histogram_quantile(&report->latency, 0.99)),
           milliseconds(histogram_quantile(&report->last, 0.5)));
    printf("  relay: %.2f us of CPU per delivery, %s bytes of memory per subscriber\n",
           cpu_us_per_delivery(figures.relay_cpu_ns - report->at_start.relay_cpu_ns, tally->deliveries),
           number(subscriber_bytes(report, &figures), bytes));
    summarize_tcp(report);
    if (figures.joined > 0)
        printf("  others joined %s times and got %s flashblocks\n", number(figures.joined, published),
               number(tally->guest_deliveries, deliveries));
    if (!figures.relay_runs)
        puts("  the relay ended before it was told to");
    fflush(stdout);
    return figures.published > 0 && tally->deliveries == figures.published * report->subscribers && tally->lost == 0 &&
           tally->repeated == 0 && tally->corrupt == 0 && figures.cut_off == 0 && figures.relay_runs;
}
