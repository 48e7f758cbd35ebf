#include "flashbench/report.h"

#include <math.h>
#include <stdlib.h>

#define TITLE_WIDTH  36
#define COLUMN_WIDTH 18

static void print_value(FILE *out, const struct figure_summary *summary, const struct figure *figure, unsigned rounds)
{
    char text[48];

    if (summary->count == 0)
        snprintf(text, sizeof text, "-");
    else if (rounds > 1 && figure->compared)
        snprintf(text, sizeof text, "%.*f ±%.0f%%", figure->digits, summary->median,
                 summary->median > 0 ? (summary->maximum - summary->minimum) / 2 / summary->median * 100 : 0);
    else
        snprintf(text, sizeof text, "%.*f", figure->digits, summary->median);
    /* The plus-minus sign takes two bytes and one column. */
    fprintf(out, "%*s", rounds > 1 && figure->compared && summary->count > 0 ? COLUMN_WIDTH + 1 : COLUMN_WIDTH, text);
}

static void print_ratios(const struct bench_measurement *m, unsigned point, const struct figure *figure, FILE *out)
{
    unsigned subject = m->proxy_count - 1;
    bool flawed = bench_measurement_is_flawed(m, point, subject);

    for (unsigned against = 0; against < subject; against++) {
        struct figure_summary ratio = bench_measurement_ratio(m, point, subject, against, figure);
        if (ratio.count == 0 || !figure->compared)
            fprintf(out, "%24s", "");
        else
            fprintf(out, "%9.2f%c(%.2f - %.2f)", ratio.median,
                    flawed || bench_measurement_is_flawed(m, point, against) ? '!' : ' ', ratio.minimum, ratio.maximum);
    }
}

static void print_head(const struct bench_measurement *m, unsigned point, FILE *out)
{
    const struct run_point *p = &m->points[point];
    const struct run_options *o = &m->options;

    fprintf(out, "\n%llu subscribers, %llu bytes, every %.6g ms", (unsigned long long)p->subscribers,
            (unsigned long long)p->bytes, (double)p->interval_ns / 1e6);
    if (o->burst > 1)
        fprintf(out, ", %llu at once", (unsigned long long)o->burst);
    if (o->churn_per_s > 0)
        fprintf(out, ", %llu leave and return per second", (unsigned long long)o->churn_per_s);
    if (o->slow > 0)
        fprintf(out, ", %llu slow beside them", (unsigned long long)o->slow);
    if (o->stalled > 0)
        fprintf(out, ", %llu stalled beside them", (unsigned long long)o->stalled);
    if (o->receivers_softirq)
        fputs(", softirq of receivers on their core", out);
    fprintf(out, "; %u round%s of %.6g s\n", m->rounds_done[point], m->rounds_done[point] == 1 ? "" : "s",
            (double)o->duration_ns / 1e9);
    fprintf(out, "%-*s", TITLE_WIDTH, "");
    for (unsigned proxy = 0; proxy < m->proxy_count; proxy++)
        fprintf(out, "%*.*s", COLUMN_WIDTH, COLUMN_WIDTH - 1, m->proxies[proxy].label);
    for (unsigned against = 0; against + 1 < m->proxy_count; against++)
        fprintf(out, "  against %-*.14s", 14, m->proxies[against].label);
    fputc('\n', out);
}

/* Prints whose CPU and memory were measured, if the proxy was running already or has several processes. */
static void print_processes(const struct bench_measurement *m, unsigned point, unsigned proxy, FILE *out)
{
    const struct proxy_usage *usage = &bench_measurement_result(m, point, 0, proxy)->usage;

    if (usage->is_known && (m->options.uri || usage->processes > 1))
        fprintf(out, "%s: CPU and memory are those of process group %d, %u process%s: %s\n", m->proxies[proxy].label,
                (int)usage->group, usage->processes, usage->processes == 1 ? "" : "es", usage->programs);
    if (usage->is_known && usage->softirq_is_known && usage->shares_cores)
        fprintf(out, "%s: may run on a core of flashbench's, so that its ksoftirqd time includes flashbench's part\n",
                m->proxies[proxy].label);
}

static void print_notes(const struct bench_measurement *m, unsigned point, FILE *out)
{
    for (unsigned proxy = 0; proxy < m->proxy_count; proxy++) {
        print_processes(m, point, proxy, out);
        for (unsigned round = 0; round < m->rounds_done[point]; round++) {
            const struct run_result *run = bench_measurement_result(m, point, round, proxy);
            if (run_is_flawed(run))
                fprintf(out, "! %s, round %u: %llu deliveries lost, %llu wrong, %llu readers cut off\n", m->proxies[proxy].label,
                        round + 1, (unsigned long long)run->totals.lost, (unsigned long long)run_wrong(run),
                        (unsigned long long)run->crowd.cut_off[CROWD_READER]);
            if (run->was_bottleneck)
                fprintf(
                    out,
                    "flashbench was too slow itself, or had to share its core (%s, round %u): busy %.0f %%, builder late by up "
                    "to %.2f ms\n",
                    m->proxies[proxy].label, round + 1, run->busy_share * 100, (double)run->lateness.maximum / 1e6);
            if (!run->complete && run->totals.messages > 0)
                fprintf(out, "interrupted (%s, round %u): what was measured until then\n", m->proxies[proxy].label, round + 1);
            if (run->scraped)
                fprintf(out, "metrics of %s with '%s' in their names that changed, round %u:\n%s", m->proxies[proxy].label,
                        m->options.scrape, round + 1, run->scraped[0] != '\0' ? run->scraped : "none\n");
        }
    }
}

static bool has_messages(const struct bench_measurement *m, unsigned point)
{
    for (unsigned round = 0; round < m->rounds_done[point]; round++)
        for (unsigned proxy = 0; proxy < m->proxy_count; proxy++)
            if (bench_measurement_result(m, point, round, proxy)->totals.messages > 0)
                return true;
    return false;
}

void report_table(const struct bench_measurement *m, FILE *out)
{
    for (unsigned point = 0; point < m->point_count; point++) {
        if (!has_messages(m, point))
            continue;
        print_head(m, point, out);
        for (unsigned i = 0; i < figure_count; i++) {
            char title[64];
            snprintf(title, sizeof title, "%s%s%s", figures[i].title, figures[i].unit[0] != '\0' ? ", " : "", figures[i].unit);
            fprintf(out, "%-*s", TITLE_WIDTH, title);
            for (unsigned proxy = 0; proxy < m->proxy_count; proxy++) {
                struct figure_summary summary = bench_measurement_figure(m, point, proxy, &figures[i]);
                print_value(out, &summary, &figures[i], m->rounds_done[point]);
            }
            print_ratios(m, point, &figures[i], out);
            fputc('\n', out);
        }
        print_notes(m, point, out);
    }
}
