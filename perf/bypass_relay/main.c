/*
 * bypass_relay: what a delivery costs the relay's own shard, TCP engine and port over DPDK, without a card: a population (perf/population/)
 * takes the place of the card and of the subscribers. Every payload's place and length is checked, and of one segment in 4,096 the bytes.
 */
#include "bypass_relay/pairs.h"
#include "bypass_relay/rig.h"
#include "common/command_line.h"
#include "flashrelay/clock.h"
#include "flashrelay/thread.h"
#include "population/program.h"

#include <rte_eal.h>

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MAX_ROUNDS 100000
#define MAX_PAIRS  1000
/* The engine copies shorter frames, and a client learns by the place of its first payload which frame it is sent first. */
#define LEAST_BYTES 128
/* Memory without huge pages, for the log and the pools. */
#define PLAIN_MEBIBYTES 512

struct settings {
    struct option_values subscribers, bytes;
    uint64_t mtu, rtt_ns, interval_ns, rounds, duration_ns, seed, cpu, pairs, syns_per_s;
    const char *acks, *against;
    double loss, stalled;
    bool tso, huge, json, connect_only;
};

static struct settings settings = {
    .subscribers = {{1000, 10000, 100000, 1000000}, 4},
    .bytes = {{25000}, 1},
    .mtu = 1500,
    .rtt_ns = 20 * 1000000,
    .interval_ns = 200 * 1000000,
    .duration_ns = 2000000000,
    .seed = 1,
    .cpu = PROGRAM_FIRST_CPU,
    .acks = "2",
    .against = "floor",
};

static const struct command_option entries[] = {
    {"--subscribers", "N,...", "connections (default 1000,10000,100000,1000000)", OPTION_NUMBER_LIST, &settings.subscribers, 1,
     POPULATION_MAX_CLIENTS / 2},
    {"--bytes", "SIZE,...", "of a flashblock (default 25k)", OPTION_BYTES_LIST, &settings.bytes, LEAST_BYTES, 1 << 20},
    {"--mtu", "N", "bytes of an IP packet (default 1500)", OPTION_NUMBER, &settings.mtu, 576, 9000},
    {"--tso", NULL, "the card cuts packets into segments", OPTION_SWITCH, &settings.tso, 0, 0},
    {"--rtt", "TIME", "until an acknowledgement arrives (default 20ms)", OPTION_DURATION, &settings.rtt_ns, 0, 10000000000},
    {"--acks", "N|burst", "segments per acknowledgement (default 2; 6: as with GRO), or one per burst", OPTION_TEXT,
     &settings.acks, 0, 0},
    {"--loss", "SHARE", "of the segments that are lost (default 0)", OPTION_SHARE, &settings.loss, 0, 0},
    {"--stalled", "SHARE", "of the subscribers that read nothing, and stay; needs --rounds (default 0)", OPTION_SHARE,
     &settings.stalled, 0, 0},
    {"--syn-flood", "N", "SYNs per second from addresses that never answer (default 0)", OPTION_NUMBER, &settings.syns_per_s, 0,
     100000000},
    {"--connect-only", NULL, "only connect the subscribers, which is measured", OPTION_SWITCH, &settings.connect_only, 0, 0},
    {"--interval", "TIME", "between flashblocks, left out of the time where nothing happens (default 200ms)", OPTION_DURATION,
     &settings.interval_ns, 0, 0},
    {"--rounds", "N", "flashblocks per measurement (default: by --seconds)", OPTION_NUMBER, &settings.rounds, 1, MAX_ROUNDS},
    {"--seconds", "TIME", "how long a measurement lasts, as far as it has two rounds (default 2s)", OPTION_DURATION,
     &settings.duration_ns, 1000000, 0},
    {"--seed", "N", "of addresses, contents and losses (default 1)", OPTION_NUMBER, &settings.seed, 0, 0},
    {"--cpu", "N", "to run on (default: the first that is allowed)", OPTION_NUMBER, &settings.cpu, 0, 1023},
    {"--huge", NULL, "packets and log on huge pages of the system's pool", OPTION_SWITCH, &settings.huge, 0, 0},
    {"--pairs", "N",
     "measure N times in turns with another program; prints the ratio of the sums, with --syn-flood of the last subscribers "
     "(default 0)",
     OPTION_NUMBER, &settings.pairs, 1, MAX_PAIRS},
    {"--against", "floor|plain|PROGRAM",
     "the other one: bypass_floor, this program without loss, stalled ones and flood, or another build of it (default floor)",
     OPTION_TEXT, &settings.against, 0, 0},
    {"--json", NULL, "one JSON object per line instead of a table", OPTION_SWITCH, &settings.json, 0, 0},
};

static const struct command_line line = {
    .program = "bypass_relay",
    .usage = "[OPTION]...",
    .summary = "Measures what a delivery costs the relay's shard and TCP over DPDK, without a card.\n",
    .options = entries,
    .option_count = sizeof entries / sizeof *entries,
};

/* Nanoseconds per delivery, or per connection. */
struct result {
    double parts[METER_PARTS], sum;
    double last_ms; /* until the last subscriber that reads has a frame */
    uint64_t rounds, allocated_bytes;
};

static void read_parts(const struct rig *rig, const uint64_t before[METER_PARTS], uint32_t count, double parts[METER_PARTS])
{
    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        parts[part] = (double)(rig->meter.cycles[part] - before[part]) * rig->meter.ns_per_cycle / count;
}

static double sum_of(const double parts[METER_PARTS])
{
    double sum = 0;

    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        sum += parts[part];
    return sum;
}

static bool is_over(uint64_t round, uint64_t begun_ns)
{
    if (settings.rounds > 0)
        return round == settings.rounds;
    return round == MAX_ROUNDS || (round >= 2 && clock_monotonic_ns() - begun_ns >= settings.duration_ns);
}

/* What this thread has allocated so far; 0 where the allocator does not count, as with sanitizers. */
static uint64_t allocated_bytes(void)
{
    char name[THREAD_NAME_BYTES];
    uint64_t bytes;

    return thread_allocated_bytes(0, name, &bytes) ? bytes : 0;
}

/* Runs rounds for the time or the number that is configured, after one that is not measured. */
static struct result measure(struct rig *rig)
{
    static double parts[METER_PARTS + 1][MAX_ROUNDS], last[MAX_ROUNDS];
    struct result result = {0};
    uint64_t begun_ns;

    rig_run_round(rig);
    result.allocated_bytes = allocated_bytes();
    begun_ns = clock_monotonic_ns();
    while (!is_over(result.rounds, begun_ns)) {
        uint64_t before[METER_PARTS];
        double round[METER_PARTS];

        memcpy(before, rig->meter.cycles, sizeof before);
        rig_run_round(rig);
        read_parts(rig, before, rig_readers(rig), round);
        for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
            parts[part][result.rounds] = round[part];
        last[result.rounds] = (double)rig->last_cycles * rig->meter.ns_per_cycle / 1e6;
        parts[METER_PARTS][result.rounds++] = sum_of(round);
    }
    result.allocated_bytes = allocated_bytes() - result.allocated_bytes;
    rig_check(rig);
    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        result.parts[part] = program_median(parts[part], result.rounds);
    result.sum = program_median(parts[METER_PARTS], result.rounds);
    result.last_ms = program_median(last, result.rounds);
    return result;
}

static struct result measure_connecting(struct rig *rig)
{
    struct result result = {.rounds = 1};
    uint64_t before[METER_PARTS];

    memcpy(before, rig->meter.cycles, sizeof before);
    rig_connect(rig);
    read_parts(rig, before, rig->options.subscribers, result.parts);
    result.sum = sum_of(result.parts);
    return result;
}

/* --- memory --- */

/* Of this process before the present rig was made. */
static uint64_t bytes_before;

/* The process's memory without the pool of huge pages, in which log and packets lie: each page's share that is this process's. */
static uint64_t proportional_bytes(void)
{
    char text[128];
    uint64_t kibibytes = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");

    if (!file)
        err(1, "/proc/self/smaps_rollup");
    while (fgets(text, sizeof text, file) && sscanf(text, "Pss: %lu kB", &kibibytes) != 1)
        ;
    fclose(file);
    return kibibytes * 1024;
}

/* Bytes per subscriber of everything but log, packets and the population; 0 where log and packets are not on huge pages. */
static double bytes_per_subscriber(const struct rig *rig)
{
    uint64_t others = bytes_before + population_memory_bytes(rig->population), bytes = proportional_bytes();

    return settings.huge && bytes > others ? (double)(bytes - others) / rig->options.subscribers : 0;
}

/* --- output --- */

static void print_json(const struct rig *rig, const char *what, const struct result *result)
{
    const struct rig_options *options = &rig->options;

    printf(
        "{\"what\": \"%s\", \"subscribers\": %u, \"bytes\": %u, \"mtu\": %u, \"tso\": %s, \"segments_per_ack\": %u, "
        "\"rtt_ns\": %lu, \"loss\": %g, \"stalled\": %u, \"rounds\": %lu, \"resent\": %lu, \"allocated_bytes\": %lu, \"ns\": {",
        what, options->subscribers, options->bytes, options->mtu, options->tso ? "true" : "false", options->acks, options->rtt_ns,
        options->loss, options->stalled, result->rounds, rig_resent(rig), result->allocated_bytes);
    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        printf("\"%s\": %.2f, ", meter_part_name(part), result->parts[part]);
    printf("\"sum\": %.2f}, \"last_ms\": %.3f, \"bytes_per_subscriber\": %.1f, \"syns_per_s\": %lu, \"syns_answered\": %lu, "
           "\"preemptions\": %lu}\n",
           result->sum, result->last_ms, bytes_per_subscriber(rig), options->syns_per_s,
           population_figures(rig->population)->syns_answered, rig->meter.preemptions);
}

static void print_heading(void)
{
    printf("ns per connection (first row of each number) and per delivery (median of the rounds)\n%11s %8s", "subscribers",
           "bytes");
    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        printf(" %9s", meter_part_name(part));
    printf(" %9s %8s %8s %9s %7s %8s\n", "sum", "last, ms", "resent", "allocated", "memory", "rounds");
}

static void print_row(const struct rig *rig, const char *what, const struct result *result)
{
    if (strcmp(what, "connection") == 0)
        printf("%11u %8s", rig->options.subscribers, "-");
    else
        printf("%11u %8u", rig->options.subscribers, rig->options.bytes);
    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        printf(" %9.1f", result->parts[part]);
    printf(" %9.1f %8.2f %8lu %9lu %7.1f %8lu\n", result->sum, result->last_ms, rig_resent(rig), result->allocated_bytes,
           bytes_per_subscriber(rig), result->rounds);
}

static void print(const struct rig *rig, const char *what, const struct result *result)
{
    if (settings.json)
        print_json(rig, what, result);
    else
        print_row(rig, what, result);
    fflush(stdout);
}

/* --- pairs --- */

/* The command of the other program, with the options that it shares with this one. */
static void write_command(char *command, size_t capacity, const struct rig_options *options)
{
    bool is_floor = strcmp(settings.against, "floor") == 0, is_plain = strcmp(settings.against, "plain") == 0;
    char program[PATH_MAX], rounds[64] = "", faults[128] = "";

    if (is_floor || is_plain)
        pairs_find_program(program, sizeof program, is_floor ? "bypass_floor" : "bypass_relay");
    else
        snprintf(program, sizeof program, "%s", settings.against);
    if (settings.rounds > 0)
        snprintf(rounds, sizeof rounds, "--rounds %lu", settings.rounds);
    if (!is_floor && !is_plain)
        snprintf(faults, sizeof faults, "--loss %g --stalled %g --syn-flood %lu", settings.loss, settings.stalled,
                 settings.syns_per_s);
    snprintf(
        command, capacity,
        "'%s' --subscribers %u --bytes %u --mtu %u --rtt %luns --acks %s --interval %luns --seconds %luns --seed %lu %s %s %s %s "
        "--json",
        program, options->subscribers, options->bytes, options->mtu, options->rtt_ns, settings.acks, options->interval_ns,
        settings.duration_ns, options->seed, rounds, faults, options->tso ? "--tso" : "", settings.huge ? "--huge" : "");
}

static void print_pairs(const struct rig *rig, const double *own, const double *other)
{
    struct pairs_ratio ratio = pairs_compare(own, other, settings.pairs);
    double medians[2][MAX_PAIRS];

    memcpy(medians[0], own, settings.pairs * sizeof *own);
    memcpy(medians[1], other, settings.pairs * sizeof *other);
    double own_median = program_median(medians[0], settings.pairs), other_median = program_median(medians[1], settings.pairs);
    if (settings.json)
        printf("{\"what\": \"pairs\", \"subscribers\": %u, \"bytes\": %u, \"against\": \"%s\", \"pairs\": %lu, \"own\": %.2f, "
               "\"other\": %.2f, \"ratio\": {\"median\": %.3f, \"least\": %.3f, \"greatest\": %.3f}}\n",
               rig->options.subscribers, rig->options.bytes, settings.against, settings.pairs, own_median, other_median,
               ratio.median, ratio.least, ratio.greatest);
    else
        printf("%11u %8u %.2f against %.2f %s of %s: ratio %.2f (%.2f to %.2f) of %lu pairs\n", rig->options.subscribers,
               rig->options.bytes, own_median, other_median, settings.syns_per_s > 0 ? "ms" : "ns", settings.against,
               ratio.median, ratio.least, ratio.greatest, settings.pairs);
    fflush(stdout);
}

static void run_pairs(struct rig *rig)
{
    static double own[MAX_PAIRS], other[MAX_PAIRS];
    char command[PATH_MAX + 1024];
    /* What a flood costs is spread over the deliveries between which it comes; what it delays is told by the last subscriber. */
    bool flooded = settings.syns_per_s > 0;

    write_command(command, sizeof command, &rig->options);
    for (uint64_t i = 0; i < settings.pairs; i++) {
        struct result result;

        if (i % 2 == 0)
            other[i] = pairs_run(command, flooded ? "last_ms" : "sum");
        result = measure(rig);
        print(rig, "delivery", &result);
        own[i] = flooded ? result.last_ms : result.sum;
        if (i % 2 == 1)
            other[i] = pairs_run(command, flooded ? "last_ms" : "sum");
    }
    print_pairs(rig, own, other);
}

static void run(const struct rig_options *options)
{
    struct rig *rig;
    struct result result;
    int error;

    bytes_before = proportional_bytes();
    error = rig_create(&rig, options);

    if (error != 0)
        errx(1, "%u subscribers: %s", options->subscribers, strerror(-error));
    result = measure_connecting(rig);
    print(rig, "connection", &result);
    if (settings.pairs > 0) {
        run_pairs(rig);
    } else if (!settings.connect_only) {
        result = measure(rig);
        print(rig, "delivery", &result);
    }
    rig_destroy(rig);
}

int main(int argc, char **argv)
{
    struct rig_options options;

    command_line_parse(&line, argc, argv);
    if (settings.stalled > 0 && settings.rounds == 0)
        command_line_fail(&line, "--stalled needs --rounds: the log is made for so many flashblocks");
    options = (struct rig_options){
        .mtu = (uint16_t)settings.mtu,
        .tso = settings.tso,
        .rtt_ns = settings.rtt_ns,
        .interval_ns = settings.interval_ns,
        .seed = settings.seed,
        .acks = program_parse_acks(&line, settings.acks),
        .loss = settings.loss,
        .syns_per_s = settings.syns_per_s,
        .rounds = (uint32_t)((settings.rounds + 1) * (settings.pairs > 0 ? settings.pairs : 1)),
    };
    program_start_eal(&(struct program_eal){
        .program = "bypass_relay", .cpu = settings.cpu, .huge = settings.huge, .plain_mebibytes = PLAIN_MEBIBYTES});
    thread_register("bench");
    if (!settings.json)
        print_heading();
    for (size_t i = 0; i < settings.bytes.count; i++) {
        for (size_t j = 0; j < settings.subscribers.count; j++) {
            options.bytes = (uint32_t)settings.bytes.values[i];
            options.subscribers = (uint32_t)settings.subscribers.values[j];
            options.stalled = (uint32_t)((double)options.subscribers * settings.stalled);
            run(&options);
        }
    }
    return rte_eal_cleanup() == 0 ? 0 : 1;
}
