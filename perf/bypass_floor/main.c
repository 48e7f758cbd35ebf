/*
 * bypass_floor: what a delivery costs at least on a TCP of one's own over DPDK. It does what no relay can leave out: offer a frame to every
 * subscriber, cut it into segments by reference, take the acknowledgements, keep timers. It has no loss recovery, no pacing, no handshake and
 * no limits. Its clients are a population (perf/population/), whose time is left out.
 */
#include "bypass_floor/floor.h"
#include "common/command_line.h"
#include "population/program.h"

#include <rte_eal.h>

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define MAX_ROUNDS   100000
#define IP_TCP_BYTES 40

struct settings {
    struct option_values subscribers, bytes;
    uint64_t mtu, rtt_ns, interval_ns, rounds, duration_ns, seed, cpu;
    const char *acks, *count;
    bool tso, huge, json;
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
    .acks = "6",
    .count = "last",
};

static const struct command_option entries[] = {
    {"--subscribers", "N,...", "connections (default 1000,10000,100000,1000000)", OPTION_NUMBER_LIST, &settings.subscribers, 1,
     POPULATION_MAX_CLIENTS / 2},
    {"--bytes", "SIZE,...", "of a frame (default 25k)", OPTION_BYTES_LIST, &settings.bytes, 1, LOG_MAX_FRAME},
    {"--mtu", "N", "bytes of an IP packet (default 1500)", OPTION_NUMBER, &settings.mtu, 576, 9000},
    {"--tso", NULL, "the card cuts packets into segments", OPTION_SWITCH, &settings.tso, 0, 0},
    {"--rtt", "TIME", "until an acknowledgement arrives (default 20ms)", OPTION_DURATION, &settings.rtt_ns, 0, 10000000000},
    {"--acks", "N|burst", "segments per acknowledgement (default 6, as with GRO; 2: without), or one per burst", OPTION_TEXT,
     &settings.acks, 0, 0},
    {"--count", "every|last", "what an epoch counts: every segment, or a turn's last (default last)", OPTION_TEXT,
     &settings.count, 0, 0},
    {"--interval", "TIME", "between frames, left out of the time where nothing happens (default 200ms)", OPTION_DURATION,
     &settings.interval_ns, 0, 0},
    {"--rounds", "N", "frames per measurement (default: by --seconds)", OPTION_NUMBER, &settings.rounds, 1, MAX_ROUNDS},
    {"--seconds", "TIME", "how long a measurement lasts, as far as it has two rounds (default 2s)", OPTION_DURATION,
     &settings.duration_ns, 1000000, 0},
    {"--seed", "N", "of order, addresses and contents (default 1)", OPTION_NUMBER, &settings.seed, 0, 0},
    {"--cpu", "N", "to run on (default: the first that is allowed)", OPTION_NUMBER, &settings.cpu, 0, 1023},
    {"--huge", NULL, "packets on huge pages of the system's pool (32 are needed)", OPTION_SWITCH, &settings.huge, 0, 0},
    {"--json", NULL, "one JSON object per line instead of a table", OPTION_SWITCH, &settings.json, 0, 0},
};

static const struct command_line line = {
    .program = "bypass_floor",
    .usage = "[OPTION]...",
    .summary = "Measures what a delivery costs at least on a TCP of one's own over DPDK, without a card.\n",
    .options = entries,
    .option_count = sizeof entries / sizeof *entries,
};

/* Nanoseconds per delivery. */
struct floor_result {
    double parts[PARTS], sum;
    double packets_per_s; /* while the floor itself works, in millions */
    uint64_t rounds, deliveries;
};

static bool parse_count(void)
{
    if (strcmp(settings.count, "every") != 0 && strcmp(settings.count, "last") != 0)
        command_line_fail(&line, "--count \"%s\": expected every or last", settings.count);
    return strcmp(settings.count, "every") == 0;
}

/* Whether another program has had the core: then acknowledgements may come too late for the timers, which costs next to nothing. */
static bool was_preempted(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_nivcsw > 0;
}

/* Ends the program if the run was not what it should measure. */
static void check(const struct floor *floor, uint64_t rounds)
{
    const struct population_figures *figures = population_figures(floor->population);
    uint64_t expected = rounds * floor->options.subscribers;

    if (population_faults(floor->population) > 0 || figures->frames_completed != expected)
        errx(1, "%lu of %lu deliveries arrived; %lu payloads misplaced, %lu corrupt, %lu beyond a window, %lu packets unknown",
             figures->frames_completed, expected, figures->misplaced, figures->corrupt, figures->beyond_window, figures->unknown);
    if (floor->blocked > 0 || floor->strange_packets > 0 || (floor->timeouts > 0 && !was_preempted()) || floor->epochs.waited > 0)
        errx(1, "blocked %lu times, %lu strange packets, %lu timeouts, waited %lu times for an epoch", floor->blocked,
             floor->strange_packets, floor->timeouts, floor->epochs.waited);
}

/* Runs rounds for the time or the number that is configured, after one that is not measured. */
static struct floor_result measure(struct floor *floor)
{
    static double parts[PARTS + 1][MAX_ROUNDS];
    struct floor_result result = {.deliveries = floor->options.subscribers};
    uint64_t before[PARTS], begun_ns, packets, round = 0;

    floor_run_round(floor);
    packets = population_figures(floor->population)->packets;
    begun_ns = clock_monotonic_ns();
    do {
        memcpy(before, floor->cycles, sizeof before);
        floor_run_round(floor);
        parts[PARTS][round] = 0;
        for (unsigned part = 0; part < PARTS; part++) {
            parts[part][round] = (double)(floor->cycles[part] - before[part]) * floor->ns_per_cycle / floor->options.subscribers;
            parts[PARTS][round] += parts[part][round];
        }
        round++;
    } while (round < MAX_ROUNDS && (settings.rounds > 0 ? round < settings.rounds
                                                        : round < 2 || clock_monotonic_ns() - begun_ns < settings.duration_ns));
    check(floor, round + 1);
    packets = population_figures(floor->population)->packets - packets;
    for (unsigned part = 0; part < PARTS; part++)
        result.parts[part] = program_median(parts[part], round);
    result.sum = program_median(parts[PARTS], round);
    result.rounds = round;
    result.deliveries *= round;
    result.packets_per_s = (double)packets / (double)result.deliveries / result.sum * 1e3;
    return result;
}

static void print_json(const struct floor *floor, const struct floor_result *result)
{
    printf("{\"subscribers\": %u, \"bytes\": %u, \"mss\": %u, \"tso\": %s, \"segments_per_ack\": %u, \"counts\": \"%s\", "
           "\"rtt_ns\": %lu, "
           "\"rounds\": %lu, \"ns_per_delivery\": {\"frame\": %.2f, \"segments\": %.2f, \"shard\": %.2f, \"acks\": %.2f, "
           "\"timers\": %.2f, \"sum\": %.2f}, \"million_packets_per_s\": %.3f}\n",
           floor->options.subscribers, floor->options.bytes, floor->options.mss, floor->options.tso ? "true" : "false",
           floor->options.acks, settings.count, floor->options.rtt_ns, result->rounds, result->parts[PART_FRAME],
           result->parts[PART_SEGMENTS], result->parts[PART_SHARD], result->parts[PART_ACKS], result->parts[PART_TIMERS],
           result->sum, result->packets_per_s);
}

static void print_row(const struct floor *floor, const struct floor_result *result)
{
    printf("%11u %8u %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.2f %8lu\n", floor->options.subscribers, floor->options.bytes,
           result->parts[PART_SEGMENTS], result->parts[PART_SHARD], result->parts[PART_ACKS], result->parts[PART_TIMERS],
           result->parts[PART_FRAME], result->sum, result->packets_per_s, result->rounds);
}

static void run(const struct floor_options *options)
{
    struct floor *floor;
    struct floor_result result;
    int error = floor_create(&floor, options);

    if (error != 0)
        errx(1, "%u subscribers: %s", options->subscribers, strerror(-error));
    result = measure(floor);
    if (settings.json)
        print_json(floor, &result);
    else
        print_row(floor, &result);
    fflush(stdout);
    floor_destroy(floor);
}

int main(int argc, char **argv)
{
    struct floor_options options;

    command_line_parse(&line, argc, argv);
    options = (struct floor_options){
        .mss = (uint32_t)settings.mtu - IP_TCP_BYTES,
        .tso = settings.tso,
        .counts_every_segment = parse_count(),
        .rtt_ns = settings.rtt_ns,
        .interval_ns = settings.interval_ns,
        .seed = settings.seed,
        .acks = program_parse_acks(&line, settings.acks),
    };
    program_start_eal(
        &(struct program_eal){.program = "bypass_floor", .cpu = settings.cpu, .huge = settings.huge, .plain_mebibytes = 128});
    if (!settings.json)
        printf("ns per delivery, median of the rounds\n%11s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", "subscribers", "bytes",
               "segments", "shard", "acks", "timers", "frame", "sum", "Mpps", "rounds");
    for (size_t i = 0; i < settings.bytes.count; i++) {
        for (size_t j = 0; j < settings.subscribers.count; j++) {
            options.bytes = (uint32_t)settings.bytes.values[i];
            options.subscribers = (uint32_t)settings.subscribers.values[j];
            run(&options);
        }
    }
    return rte_eal_cleanup() == 0 ? 0 : 1;
}
