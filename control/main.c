/* flashrelay: reads its options, starts the service, and ends it when it is told to. */
#include "flashrelay/clock.h"
#include "flashrelay/engine_kind.h"
#include "flashrelay/shard.h"
#include "log_file.h"
#include "machine/machine.h"
#include "options/dotenv_file.h"
#include "options/dpdk_settings.h"
#include "options/options.h"
#include "service.h"
#include "version.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef FLASHRELAY_JEMALLOC
/*
 * jemalloc's own start-up setting. What is freed goes back to the system at once: on the way from ingest to send nothing is freed, and
 * what a storm of handshakes or a large scrape needed for a moment should not stay resident.
 */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:2";
#endif

#define STATUS_FAILED 1
#define STATUS_USAGE  2

/* How often a draining service is asked whether it is finished, and how long at most. */
#define DRAIN_POLL_NS  (20 * NS_PER_MS)
#define DRAIN_LIMIT_NS (SHARD_DRAIN_SPREAD_NS + 10 * NS_PER_S)

/* Sets where the log goes; opens `file` if there is a log directory. 0, or the exit status after a line about what is wrong. */
static int configure_log(const struct options *options, struct log_file *file)
{
    int result;

    if (options->log_directory) {
        result = log_file_open(file, options->log_directory, options->log_rotation, clock_realtime_ns());
        if (result < 0) {
            fprintf(stderr, "flashrelay: cannot log to %s: %s\n", options->log_directory, strerror(-result));
            return STATUS_FAILED;
        }
    }
    if (!options->log_quiet) {
        log_configure(options->log_level, options->log_format, STDOUT_FILENO);
        if (options->log_directory)
            log_add_sink(options->log_file_format, file->descriptor);
    } else if (options->log_directory) {
        log_configure(options->log_level, options->log_file_format, file->descriptor);
    } else {
        log_configure(LOG_OFF, LOG_TEXT, STDOUT_FILENO);
    }
    return 0;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* How long until `next_ns`, CLOCK_NEVER if that is never. */
static uint64_t time_until(uint64_t next_ns, uint64_t now_ns)
{
    if (next_ns == CLOCK_NEVER)
        return CLOCK_NEVER;
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

/* Does what is due by the clock. Returns how long until the next time, or CLOCK_NEVER. */
static uint64_t turn(struct service *service, struct log_file *file)
{
    uint64_t now_ns = clock_monotonic_ns(), wait_ns = time_until(service_turn(service, now_ns), now_ns), rotate_ns = CLOCK_NEVER;

    if (file->directory) {
        now_ns = clock_realtime_ns();
        rotate_ns = time_until(log_file_rotate(file, now_ns), now_ns);
    }
    return rotate_ns < wait_ns ? rotate_ns : wait_ns;
}

/* Waits for one of `signals`, meanwhile doing what is due. Returns the signal. */
static int wait_for_signal(const sigset_t *signals, struct service *service, struct log_file *file)
{
    int signal;

    do {
        uint64_t wait_ns = turn(service, file);
        struct timespec wait = timespec_of(wait_ns);

        signal = sigtimedwait(signals, NULL, wait_ns == CLOCK_NEVER ? NULL : &wait);
    } while (signal < 0);
    return signal;
}

/* Ends the service in order after `signal`. Returns the exit status; a second signal ends the process at once. */
static int drain(struct service *service, const sigset_t *signals, int signal)
{
    uint64_t deadline_ns = clock_monotonic_ns() + DRAIN_LIMIT_NS;
    struct timespec pause = timespec_of(DRAIN_POLL_NS);

    log_line(LOG_INFO, "main", "%s: closing connections", strsignal(signal));
    service_drain(service);
    while (!service_is_finished(service)) {
        signal = sigtimedwait(signals, NULL, &pause);
        if (signal > 0) {
            log_line(LOG_WARN, "main", "%s again: ending at once", strsignal(signal));
            log_stop();
            _exit(128 + signal);
        }
        if (clock_monotonic_ns() > deadline_ns) {
            log_line(LOG_ERROR, "main", "connections are left after %u s: ending without them",
                     (unsigned)(DRAIN_LIMIT_NS / NS_PER_S));
            return STATUS_FAILED;
        }
    }
    log_line(LOG_INFO, "main", "all connections closed");
    return EXIT_SUCCESS;
}

static int run(const struct options *options, const struct warnings *warnings)
{
    struct log_file file = {0};
    struct service *service;
    char error[512];
    sigset_t signals;
    int status, result;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in every thread: main waits for them with sigtimedwait */
    signal(SIGPIPE, SIG_IGN);
    status = configure_log(options, &file);
    if (status != 0)
        return status;
    if (log_start() < 0)
        log_line(LOG_WARN, "main", "cannot start the log's threads: a slow reader of the log will delay flashblocks");
    warnings_log(warnings);
    result = service_start(&service, options, error, sizeof error);
    if (result < 0) {
        log_stop(); /* writes the queued lines, which explain the error, before it */
        fprintf(stderr, "flashrelay: %s\n", error);
        status = result == -ENOTSUP ? STATUS_USAGE : STATUS_FAILED;
    } else {
        status = drain(service, &signals, wait_for_signal(&signals, service, &file));
        service_destroy(service);
        log_stop();
    }
    if (file.directory)
        log_file_close(&file);
    return status;
}

/* --dpdk-check. Returns the exit status. */
static int check_port(const struct options *options)
{
    const struct engine_dpdk_options dpdk = dpdk_settings_of(options);
    const struct engine_kind_options kind_options = {
        .engines = (unsigned)options->shards, .channel_bytes = options->log_memory_bytes, .dpdk = &dpdk};
    char error[512] = "";

    log_configure(options->log_level, options->log_format, STDERR_FILENO);
    if (engine_kind_find("dpdk")->check(&kind_options, stdout, error, sizeof error) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "flashrelay: %s\n", error);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    struct dotenv dotenv = {0};
    struct machine machine;
    struct options_sources sources = {
        .arguments = argv + (argc > 0), .environment = environ, .file = &dotenv, .machine = &machine};
    struct warnings warnings = {0};
    char error[OPTIONS_ERROR_BYTES];
    struct options options = {0};
    int status = EXIT_SUCCESS;

    machine_read(&machine, "");
    dotenv_file_read(&dotenv, environ, &warnings);
    switch (options_read(&options, &sources, &warnings, error)) {
    case OPTIONS_RUN:
        status = options.dpdk_check ? check_port(&options) : run(&options, &warnings);
        break;
    case OPTIONS_HELP:
        options_print_help(stdout);
        break;
    case OPTIONS_VERSION:
        printf("flashrelay %s\n", version_text());
        break;
    case OPTIONS_BAD:
        warnings_print(stderr, &warnings);
        fprintf(stderr, "flashrelay: %s\n", error);
        status = STATUS_USAGE;
        break;
    }
    options_dispose(&options);
    warnings_dispose(&warnings);
    dotenv_dispose(&dotenv);
    return status;
}
