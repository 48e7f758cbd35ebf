/* demo: runs a builder, the relay and subscribers on this machine and prints what the relay delivers. */
#include "common/command_line.h"
#include "common/process.h"
#include "common/rig.h"
#include "demo/network.h"
#include "demo/report.h"
#include "flashrelay/address.h"
#include "flashrelay/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_WITHOUT_TERMINAL 10
#define CONNECT_PATIENCE_NS      (60 * NS_PER_S)
#define SETTLE_PATIENCE_NS       (10 * NS_PER_S)
#define ENDS_SHOWN               5 /* at most this many ended connections are reported with their reason */

struct demo_settings {
    uint64_t subscribers, churn, size_bytes, interval_ns, seconds, log_bytes;
    const char *relay;
    bool dpdk;
};

/* A relay on DPDK: its tap, whose end the kernel has, and where its metrics are. */
struct tap {
    struct address metrics;
    char metrics_addr[ADDRESS_TEXT_BYTES];
    const char *arguments[5];
};

#define TAP_INTERFACE     "flash0"
#define TAP_RELAY_ADDRESS "198.18.0.2" /* of the network for measurements: RFC 2544 */
#define TAP_OWN_ADDRESS   "198.18.0.1"
/* Acknowledgements that may wait for the relay: while it sends a slice of a fan-out, the subscribers acknowledge more than the usual 1,000. */
#define TAP_QUEUE 10000

static volatile sig_atomic_t stop_requests;

static void on_signal(int number)
{
    (void)number;
    if (++stop_requests > 1)
        _exit(130); /* the relay ends with this process */
}

static void on_ended(void *context, uint32_t subscriber, const struct fleet_end *end)
{
    unsigned *shown = context;

    if (++*shown > ENDS_SHOWN)
        return;
    fprintf(stderr, "%ssubscriber %" PRIu32 " lost its connection: ", isatty(STDERR_FILENO) ? "\n" : "", subscriber);
    if (end->close_code != 0)
        fprintf(stderr, "closed with %u %.*s\n", end->close_code, (int)end->reason_length,
                end->reason_length > 0 ? end->reason : "");
    else
        fprintf(stderr, "%s\n", end->error != 0 ? strerror(-end->error) : "ended without a close frame");
}

static void read_settings(struct demo_settings *settings, int argc, char **argv)
{
    const struct command_option options[] = {
        {"--subscribers", "N", "how many (1000)", OPTION_NUMBER, &settings->subscribers, 1, 1000000},
        {"--churn", "N", "so many more that come and go all the time (0)", OPTION_NUMBER, &settings->churn, 0, 1000000},
        {"--size", "BYTES", "of a flashblock, about (25k)", OPTION_BYTES, &settings->size_bytes, 1, 16u << 20},
        {"--interval", "TIME", "between flashblocks (200ms)", OPTION_DURATION, &settings->interval_ns, 1, 0},
        {"--seconds", "N", "end after so long (on a terminal 0: at Ctrl-C; else 10)", OPTION_NUMBER, &settings->seconds, 0, 0},
        {"--log-memory", "BYTES", "of the relay (128Mi)", OPTION_BYTES, &settings->log_bytes, 1, 0},
        {"--dpdk", NULL, "run the relay on DPDK, on a tap in a network namespace (as root)", OPTION_SWITCH, &settings->dpdk, 0,
         0},
        {"--relay", "PROGRAM", "the relay to run (flashrelay beside this program)", OPTION_TEXT, &settings->relay, 0, 0},
    };
    const struct command_line line = {
        .program = "demo",
        .usage = "[OPTION]...",
        .summary = "Runs a builder, the relay and subscribers that compare all they get, and prints a line per second.\n"
                   "The status is 0 only if every subscriber got every flashblock.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };

    command_line_parse(&line, argc, argv);
}

/* flashrelay in the folder of this program. */
static const char *relay_beside_us(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "flashrelay");
    char *name;

    path[length > 0 ? length : 0] = '\0';
    name = strrchr(path, '/');
    strcpy(name ? name + 1 : path, "flashrelay");
    return path;
}

static bool is_over(const struct demo_settings *settings, const struct report *report)
{
    struct rig_figures figures;

    if (stop_requests > 0)
        return true;
    if (settings->seconds > 0 && clock_monotonic_ns() - report->started_ns >= settings->seconds * NS_PER_S)
        return true;
    rig_figures_get(report->rig, &figures);
    return !figures.relay_runs;
}

/* Enters a network of our own, where the relay can make a tap. False, and says why, if that is not possible. */
static bool prepare_tap(struct tap *tap)
{
    int error = network_enter();

    if (error != 0) {
        fprintf(stderr, "demo: cannot make a network namespace: %s%s\n", strerror(-error),
                error == -EPERM ? ": run it as root" : "");
        return false;
    }
    snprintf(tap->metrics_addr, sizeof tap->metrics_addr, "127.0.0.1:%u", process_free_port());
    address_parse(&tap->metrics, tap->metrics_addr);
    tap->arguments[0] = "--engine=dpdk";
    tap->arguments[1] = "--dpdk-port=net_tap0,iface=" TAP_INTERFACE;
    tap->arguments[2] = "--dpdk-address=" TAP_RELAY_ADDRESS "/24";
    tap->arguments[3] = "--eal=--no-huge --no-pci";
    return true;
}

static bool connect_tap(char error[RIG_ERROR_BYTES])
{
    int result = network_set_up(TAP_INTERFACE, TAP_OWN_ADDRESS, TAP_QUEUE);

    if (result != 0)
        snprintf(error, RIG_ERROR_BYTES, "cannot set up the tap " TAP_INTERFACE ": %s", strerror(-result));
    return result == 0;
}

static bool run(const struct demo_settings *settings, struct rig *rig, const struct address *metrics)
{
    static struct report report;

    report_begin(&report, rig, (uint32_t)settings->subscribers, metrics);
    rig_publish(rig, true);
    while (!is_over(settings, &report)) {
        uint64_t second_ns = report.second_ns + NS_PER_S;

        while (stop_requests == 0 && clock_monotonic_ns() < second_ns)
            rig_turn(rig, second_ns);
        report_line(&report);
    }
    rig_settle(rig, SETTLE_PATIENCE_NS);
    return report_summary(&report);
}

int main(int argc, char **argv)
{
    struct demo_settings settings = {
        .subscribers = 1000,
        .size_bytes = 25000,
        .interval_ns = 200 * NS_PER_MS,
        .seconds = isatty(STDOUT_FILENO) ? 0 : SECONDS_WITHOUT_TERMINAL,
        .log_bytes = 128u << 20,
        .relay = relay_beside_us(),
    };
    struct sigaction action = {.sa_handler = on_signal};
    char error[RIG_ERROR_BYTES];
    unsigned ends_shown = 0;
    struct tap tap = {0};
    struct rig *rig;
    bool all_well;

    read_settings(&settings, argc, argv);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (settings.dpdk && !prepare_tap(&tap))
        return 1;
    struct rig_options options = {
        .relay = settings.relay,
        .arguments = settings.dpdk ? tap.arguments : NULL,
        .address = settings.dpdk ? TAP_RELAY_ADDRESS : NULL,
        .metrics_addr = settings.dpdk ? tap.metrics_addr : NULL,
        .relay_output = -1,
        .subscribers = (uint32_t)settings.subscribers,
        .churn = (uint32_t)settings.churn,
        .size_bytes = settings.size_bytes,
        .interval_ns = settings.interval_ns,
        .log_bytes = settings.log_bytes,
        .stop = &stop_requests,
        .on_ended = on_ended,
        .context = &ends_shown,
    };
    printf("A builder publishes %" PRIu64 " bytes every %g ms, the relay sends them to %" PRIu64 " subscribers.\n",
           settings.size_bytes, (double)settings.interval_ns / (double)NS_PER_MS, settings.subscribers);
    fflush(stdout);
    if (!rig_start(&rig, &options, error)) {
        fprintf(stderr, "demo: %s\n", error);
        return 1;
    }
    all_well = (!settings.dpdk || connect_tap(error)) && rig_connect(rig, CONNECT_PATIENCE_NS, error);
    if (all_well)
        all_well = run(&settings, rig, settings.dpdk ? &tap.metrics : NULL);
    else
        fprintf(stderr, "demo: %s\n", error);
    all_well &= rig_stop(rig);
    return all_well ? 0 : 1;
}
