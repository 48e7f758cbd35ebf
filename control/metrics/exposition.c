#include "metrics/exposition.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static void write_escaped(FILE *out, const char *text, bool quoted)
{
    for (; *text; text++) {
        if (*text == '\\' || (quoted && *text == '"'))
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
}

void exposition_family(struct exposition *exposition, const char *name, enum metric_type type, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "summary"};

    exposition->family = name;
    fprintf(exposition->out, "# HELP %s ", name);
    write_escaped(exposition->out, help, false);
    fprintf(exposition->out, "\n# TYPE %s %s\n", name, types[type]);
}

static bool has_label(const struct label *labels, const char *name)
{
    for (; labels && labels->name; labels++)
        if (strcmp(labels->name, name) == 0)
            return true;
    return false;
}

static void write_label(FILE *out, const char *name, const char *value, bool *begun)
{
    fprintf(out, "%c%s=\"", *begun ? ',' : '{', name);
    write_escaped(out, value, true);
    fputc('"', out);
    *begun = true;
}

/* Writes a sample's name and labels. `own` is one more label, like le, with the value `own_value`; NULL: none. */
static void write_name(const struct exposition *exposition, const char *suffix, const struct label *labels, const char *own,
                       const char *own_value)
{
    FILE *out = exposition->out;
    bool begun = false;

    fprintf(out, "%s%s", exposition->family, suffix);
    for (unsigned i = 0; exposition->global && i < exposition->global->count; i++) {
        const struct owned_label *label = &exposition->global->labels[i];
        if (!has_label(labels, label->name))
            write_label(out, label->name, label->value, &begun);
    }
    for (; labels && labels->name; labels++)
        write_label(out, labels->name, labels->value, &begun);
    if (own)
        write_label(out, own, own_value, &begun);
    fputs(begun ? "} " : " ", out);
}

void exposition_value(struct exposition *exposition, const struct label *labels, uint64_t value)
{
    write_name(exposition, "", labels, NULL, NULL);
    fprintf(exposition->out, "%" PRIu64 "\n", value);
}

static void write_sum_and_count(struct exposition *exposition, const struct label *labels, const struct histogram *histogram,
                                uint64_t count, double unit)
{
    write_name(exposition, "_sum", labels, NULL, NULL);
    fprintf(exposition->out, "%.12g\n", (double)counter_read(&histogram->sum) * unit);
    write_name(exposition, "_count", labels, NULL, NULL);
    fprintf(exposition->out, "%" PRIu64 "\n", count);
}

static void write_bucket(struct exposition *exposition, const struct label *labels, const char *limit, uint64_t count)
{
    write_name(exposition, "_bucket", labels, "le", limit);
    fprintf(exposition->out, "%" PRIu64 "\n", count);
}

/* The histogram's thread may count meanwhile: each bucket is read once, and the count is the buckets' sum, so that they agree. */
void exposition_histogram(struct exposition *exposition, const struct label *labels, const struct histogram *histogram,
                          unsigned first_power, unsigned last_power, double unit)
{
    uint64_t count = 0;
    unsigned bucket = 0;
    char limit_text[32];

    for (unsigned power = first_power; power <= last_power; power++) {
        uint64_t limit = (UINT64_C(1) << power) - 1;

        for (; histogram_bucket_limit(bucket) <= limit; bucket++)
            count += counter_read(&histogram->buckets[bucket]);
        snprintf(limit_text, sizeof limit_text, "%.12g", (double)limit * unit);
        write_bucket(exposition, labels, limit_text, count);
    }
    for (; bucket < HISTOGRAM_BUCKETS; bucket++)
        count += counter_read(&histogram->buckets[bucket]);
    write_bucket(exposition, labels, "+Inf", count);
    write_sum_and_count(exposition, labels, histogram, count, unit);
}

void exposition_summary(struct exposition *exposition, const struct label *labels, const struct histogram *recent,
                        const struct histogram *all, double unit)
{
    static const struct {
        const char *text;
        double value;
    } quantiles[] = {{"0", 0}, {"0.5", 0.5}, {"0.9", 0.9}, {"0.95", 0.95}, {"0.99", 0.99}, {"0.999", 0.999}, {"1", 1}};

    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        write_name(exposition, "", labels, "quantile", quantiles[i].text);
        fprintf(exposition->out, "%.12g\n", (double)histogram_quantile(recent, quantiles[i].value) * unit);
    }
    write_sum_and_count(exposition, labels, all, histogram_count(all), unit);
}
