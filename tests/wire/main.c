/*
 * Connects two interfaces by the test wire (common/wire.h) in real time, where there is no netem: for end-to-end tests of the TCP engine
 * against the kernel's TCP.
 */
#include "end.h"

#include "common/command_line.h"
#include "common/wire.h"
#include "common/wire_packet.h"
#include "flashrelay/clock.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Most frames that are read from one end before the other end's turn. */
#define FRAMES_PER_TURN 256
/* A frame that is held back is so by up to the delay, but at least up to this. */
#define REORDER_MINIMUM_NS (5 * NS_PER_MS)

static const char summary[] = "Connects two interfaces, END as tap:NAME (which it makes) or NAME, until SIGTERM; then it prints\n"
                              "what it did to the frames of each direction. Faults concern both directions.";

struct settings {
    struct wire_settings both;
    uint64_t queue_bytes, rate_bits, mtu, seed;
    const char *names[2];
};

static void parse(struct settings *settings, int argc, char **argv)
{
    struct wire_settings *both = &settings->both;
    const struct command_option options[] = {
        {"--delay", "TIME", "delay of each frame (default 0)", OPTION_DURATION, &both->delay_ns, 0, 10 * NS_PER_S},
        {"--jitter", "TIME", "up to so much more; frames stay in order (default 0)", OPTION_DURATION, &both->jitter_ns, 0,
         10 * NS_PER_S},
        {"--loss", "SHARE", "share of frames that are lost (default 0)", OPTION_SHARE, &both->loss, 0, 0},
        {"--reorder", "SHARE", "share that is held back, by up to the delay or 5 ms (default 0)", OPTION_SHARE, &both->reorder, 0,
         0},
        {"--duplicate", "SHARE", "share that comes twice (default 0)", OPTION_SHARE, &both->duplicate, 0, 0},
        {"--corrupt", "SHARE", "share in which a bit is flipped (default 0)", OPTION_SHARE, &both->corrupt, 0, 0},
        {"--rate", "BITS", "bits per second of a bottleneck, e.g. 10M (default: none)", OPTION_BYTES, &settings->rate_bits, 0, 0},
        {"--queue", "BYTES", "queue before the bottleneck (default 256k)", OPTION_BYTES, &settings->queue_bytes, 0, 0},
        {"--mtu", "BYTES", "longest IP packet that passes (default: any)", OPTION_NUMBER, &settings->mtu, 0, 9000},
        {"--seed", "NUMBER", "of the faults (default 1)", OPTION_NUMBER, &settings->seed, 0, 0},
    };
    const struct command_line line = {.program = "wire",
                                      .usage = "[OPTION]... END END",
                                      .summary = summary,
                                      .options = options,
                                      .option_count = sizeof options / sizeof *options,
                                      .operands = settings->names,
                                      .operands_minimum = 2,
                                      .operands_maximum = 2};

    command_line_parse(&line, argc, argv);
    both->rate_bits = settings->rate_bits;
    both->queue_bytes = settings->queue_bytes;
    both->mtu = (uint32_t)settings->mtu;
    both->reorder_ns = both->delay_ns > REORDER_MINIMUM_NS ? both->delay_ns : REORDER_MINIMUM_NS;
}

/* Takes what has arrived at an end into the wire. Returns how many frames were too long for it. */
static unsigned take_in(struct wire *wire, struct end *end, enum wire_direction direction)
{
    uint8_t frame[WIRE_LONGEST_BYTES + 1];
    unsigned too_long = 0;
    size_t length;

    for (unsigned i = 0; i < FRAMES_PER_TURN && (length = end_read(end, frame, WIRE_LONGEST_BYTES)) > 0; i++) {
        if (length > WIRE_LONGEST_BYTES)
            too_long++;
        else
            wire_push(wire, direction, frame, length, clock_monotonic_ns());
    }
    return too_long;
}

static void give_out(struct wire *wire, struct end *end, enum wire_direction direction, uint64_t now_ns)
{
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length;

    while ((length = wire_take(wire, direction, now_ns, frame)) > 0)
        end_write(end, frame, length);
}

/* Sleeps until a frame arrives at an end, or is to leave the wire. False if a signal has come instead that ends the program. */
static bool sleep_until_due(const struct wire *wire, struct end ends[2], int signals)
{
    uint64_t next_ns = wire_next_ns(wire), now_ns = clock_monotonic_ns(), left_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    struct timespec time = {.tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S)};
    struct pollfd polled[3] = {{.fd = signals, .events = POLLIN}};

    for (unsigned i = 0; i < 2; i++)
        polled[1 + i] = (struct pollfd){.fd = ends[i].is_gone ? -1 : ends[i].descriptor, .events = POLLIN};
    if (ppoll(polled, 3, next_ns == CLOCK_NEVER ? NULL : &time, NULL) < 0 && errno != EINTR)
        err(1, "ppoll");
    return polled[0].revents == 0;
}

static void print_counters(const struct wire *wire, const struct end *from, const struct end *to, enum wire_direction direction,
                           unsigned too_long)
{
    const struct wire_counters *counters = wire_counters(wire, direction);

    printf("%s to %s: pushed %" PRIu64 ", delivered %" PRIu64 ", lost %" PRIu64 ", reordered %" PRIu64 ", duplicated %" PRIu64
           ", corrupted %" PRIu64 ", queue_drops %" PRIu64 ", too_big %" PRIu64 ", overruns %" PRIu64
           ", too_long %u, refused %" PRIu64 "\n",
           from->name, to->name, counters->pushed, counters->delivered, counters->lost, counters->reordered, counters->duplicated,
           counters->corrupted, counters->queue_drops, counters->too_big, counters->overruns, too_long, to->refused);
}

static void run(struct wire *wire, struct end ends[2], int signals)
{
    unsigned too_long[2] = {0, 0};

    while (sleep_until_due(wire, ends, signals)) {
        too_long[WIRE_FORTH] += take_in(wire, &ends[0], WIRE_FORTH);
        too_long[WIRE_BACK] += take_in(wire, &ends[1], WIRE_BACK);
        give_out(wire, &ends[1], WIRE_FORTH, clock_monotonic_ns());
        give_out(wire, &ends[0], WIRE_BACK, clock_monotonic_ns());
    }
    print_counters(wire, &ends[0], &ends[1], WIRE_FORTH, too_long[WIRE_FORTH]);
    print_counters(wire, &ends[1], &ends[0], WIRE_BACK, too_long[WIRE_BACK]);
}

/* A descriptor that becomes readable with a signal that ends the program. */
static int open_signals(void)
{
    sigset_t ending;
    int descriptor;

    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    descriptor = signalfd(-1, &ending, SFD_CLOEXEC);
    if (descriptor < 0)
        err(1, "signalfd");
    return descriptor;
}

int main(int argc, char **argv)
{
    struct settings settings = {.queue_bytes = 256000, .seed = 1};
    struct wire_options options;
    struct wire *wire;
    struct end ends[2];
    int signals;

    parse(&settings, argc, argv);
    options = (struct wire_options){.directions = {settings.both, settings.both}, .seed = settings.seed};
    if (wire_create(&wire, &options) != 0)
        errx(1, "out of memory");
    signals = open_signals();
    end_open(&ends[0], settings.names[0]);
    end_open(&ends[1], settings.names[1]);
    printf("connected %s and %s\n", ends[0].name, ends[1].name);
    fflush(stdout);
    run(wire, ends, signals);
    end_close(&ends[0]);
    end_close(&ends[1]);
    close(signals);
    wire_destroy(wire);
    return 0;
}
