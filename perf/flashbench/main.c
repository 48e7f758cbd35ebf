/*
 * flashbench measures any flashblocks proxy from outside: it plays the builder and the subscribers on a core of its own and measures every
 * delivery. perf/README.md explains each figure.
 */
#include "common/command_line.h"
#include "common/connect.h"
#include "common/process.h"
#include "flashbench/measurement.h"
#include "flashbench/presets.h"
#include "flashbench/receivers_softirq.h"
#include "flashbench/report.h"
#include "flashrelay/clock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MAX_DOCUMENTS 32

struct flashbench_settings {
    struct option_texts proxies, against, only;
    struct option_values subscribers, bytes, intervals, proxy_cores;
    struct run_options run;
    uint64_t rounds, own_core, pid;
    struct address builder_listen;
    const char *connect, *path, *json, *html, *preset, *baseline, *documents[MAX_DOCUMENTS];
    bool list_presets, no_pin;
    int pinned_core; /* the core that flashbench runs on; -1: any */
};

static struct flashbench_settings settings = {
    .subscribers = {{1000}, 1},
    .bytes = {{25000}, 1},
    .intervals = {{200 * NS_PER_MS}, 1},
    .run = {.warm_up_ns = 1 * NS_PER_S,
            .duration_ns = 4 * NS_PER_S,
            .patience_ns = 5 * NS_PER_S,
            .burst = 1,
            .slow_bytes_per_s = 50000,
            .verify_every = 64},
    .own_core = UINT64_MAX,
    .pinned_core = -1,
};

static const struct command_option entries[] = {
    {"--proxy", "COMMAND",
     "a proxy: 'LABEL=PROGRAM ... {upstream} ... {listen} ... {metrics}', flashrelay or bare_loop; repeat to alternate",
     OPTION_TEXTS, &settings.proxies, 0, 0},
    {"--against", "COMMAND", "the same, placed before all --proxy: with a preset", OPTION_TEXTS, &settings.against, 0, 0},
    {"--connect", "URI", "measure a proxy that runs already, at a ws:// URI or at IP:PORT; needs --builder-listen", OPTION_TEXT,
     &settings.connect, 0, 0},
    {"--builder-listen", "IP:PORT", "where the running proxy finds its upstream", OPTION_ADDRESS, &settings.builder_listen, 0, 0},
    {"--pid", "PID", "of the running proxy: CPU and memory of all of its process group are measured", OPTION_NUMBER,
     &settings.pid, 1, 4194304},
    {"--subscribers", "N,...", "readers (default 1000); several: a sweep", OPTION_NUMBER_LIST, &settings.subscribers, 1, 60000},
    {"--bytes", "SIZE,...", "of a flashblock (default 25k); several: a sweep", OPTION_BYTES_LIST, &settings.bytes, 100,
     16u << 20},
    {"--interval", "TIME,...", "between flashblocks (default 200ms); several: a sweep", OPTION_DURATION_LIST, &settings.intervals,
     NS_PER_MS, 3600 * NS_PER_S},
    {"--duration", "TIME", "measured in each run (default 4s)", OPTION_DURATION, &settings.run.duration_ns, NS_PER_MS, 0},
    {"--warm-up", "TIME", "before it (default 1s)", OPTION_DURATION, &settings.run.warm_up_ns, 0, 0},
    {"--patience", "TIME", "how long a delivery may take before it is lost (default 5s)", OPTION_DURATION,
     &settings.run.patience_ns, NS_PER_MS, 30 * NS_PER_S},
    {"--rounds", "N", "runs of each proxy (default 1 for one proxy, 7 to alternate)", OPTION_NUMBER, &settings.rounds, 1, 1000},
    {"--burst", "N", "flashblocks offered at once (default 1)", OPTION_NUMBER, &settings.run.burst, 1, 400},
    {"--churn", "N", "readers that leave and come back each second", OPTION_NUMBER, &settings.run.churn_per_s, 0, 100000},
    {"--stalled", "N", "subscribers beside the readers that never read", OPTION_NUMBER, &settings.run.stalled, 0, 60000},
    {"--slow", "N", "subscribers beside the readers that read slowly", OPTION_NUMBER, &settings.run.slow, 0, 60000},
    {"--slow-rate", "SIZE", "bytes per second that each of these reads (default 50k)", OPTION_BYTES,
     &settings.run.slow_bytes_per_s, 10, 0},
    {"--reconnect", "TIME", "who is cut off comes back after that (default: never)", OPTION_DURATION, &settings.run.reconnect_ns,
     NS_PER_MS, 0},
    {"--verify-every", "N", "compare one in N deliveries over 8 KiB byte by byte, all below (default 64; 1: all)", OPTION_NUMBER,
     &settings.run.verify_every, 1, 1000000},
    {"--only", "LABEL", "churn, slow and stalled subscribers meet only this proxy; may be repeated", OPTION_TEXTS, &settings.only,
     0, 0},
    {"--baseline", "COMMAND", "a proxy whose memory for one subscriber is taken off the others'", OPTION_TEXT, &settings.baseline,
     0, 0},
    {"--system-calls", NULL, "count them, where the kernel lets us (costs the proxy a little)", OPTION_SWITCH,
     &settings.run.count_system_calls, 0, 0},
    {"--path", "PATH", "that subscribers ask for (default /ws, or that of the URI)", OPTION_TEXT, &settings.path, 0, 0},
    {"--proxy-cores", "N,...", "that the proxy runs on (default: the first)", OPTION_NUMBER_LIST, &settings.proxy_cores, 0, 1023},
    {"--own-core", "N", "that flashbench runs on (default: the second)", OPTION_NUMBER, &settings.own_core, 0, 1023},
    {"--no-pin", NULL, "leave everything where the system puts it", OPTION_SWITCH, &settings.no_pin, 0, 0},
    {"--receivers-softirq", NULL, "let flashbench's core do the receiving half of loopback TCP (RPS; needs root)", OPTION_SWITCH,
     &settings.run.receivers_softirq, 0, 0},
    {"--poll", NULL, "never sleep: the proxy is then spared the waking of subscribers", OPTION_SWITCH, &settings.run.poll, 0, 0},
    {"--scrape", "TEXT", "report the changes of metrics with TEXT in their names, served at {metrics}; '': of all", OPTION_TEXT,
     &settings.run.scrape, 0, 0},
    {"--proxy-output", "FILE", "append the proxy's output there (default: dropped)", OPTION_TEXT, &settings.run.proxy_output, 0,
     0},
    {"--json", "FILE", "write the result there; - for standard output instead of the table", OPTION_TEXT, &settings.json, 0, 0},
    {"--html", "FILE", "write a page there that shows the result, and every JSON result given as an argument", OPTION_TEXT,
     &settings.html, 0, 0},
    {"--preset", "NAME", "take the options of a named measurement first", OPTION_TEXT, &settings.preset, 0, 0},
    {"--list-presets", NULL, "list them", OPTION_SWITCH, &settings.list_presets, 0, 0},
};

static const struct command_line line = {
    .program = "flashbench",
    .usage = "[OPTION]... [RESULT.json]...",
    .summary = "Measures a flashblocks proxy between a builder and many subscribers, or compares two by turns;\n"
               "with earlier results as arguments and --html, shows those too. The status is 1 if a run failed, or if\n"
               "a delivery was lost or wrong or a reader was cut off; ratios to such a run are marked with !.",
    .options = entries,
    .option_count = sizeof entries / sizeof entries[0],
    .operands = settings.documents,
    .operands_maximum = MAX_DOCUMENTS,
};

/* --- the command line --- */

static void print_presets(void)
{
    for (unsigned i = 0; preset_at(i)->name; i++)
        printf("%-16s %s\n", preset_at(i)->name, preset_at(i)->what);
}

/* A preset's options are parsed before those of the command line, which can change them. */
static void parse_command_line(int argc, char **argv)
{
    command_line_parse(&line, argc, argv);
    if (!settings.preset)
        return;
    const struct preset *preset = preset_find(settings.preset);
    if (!preset)
        command_line_fail(&line, "--preset: got '%s', expected one of those that --list-presets lists", settings.preset);
    char *arguments[PRESET_MAX_ARGUMENTS + 1] = {argv[0]};
    int count = 1;
    for (const char *const *argument = preset->arguments; *argument; argument++)
        arguments[count++] = strdup(*argument);
    settings.proxies.count = 0;
    settings.against.count = 0;
    settings.only.count = 0;
    command_line_parse(&line, count, arguments);
    command_line_parse(&line, argc, argv);
}

static void add_proxies(struct bench_measurement *m, const struct option_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (m->proxy_count == MEASUREMENT_MAX_PROXIES)
            command_line_fail(&line, "--proxy: more than %u", MEASUREMENT_MAX_PROXIES);
        if (!proxy_parse(&m->proxies[m->proxy_count++], texts->values[i]))
            command_line_fail(&line, "--proxy: got '%s', expected a command with {upstream} and {listen} in it",
                              texts->values[i]);
    }
}

/* The process group of process or thread `pid`, whose CPU and memory are measured; 0 for 0. */
static pid_t find_group(pid_t pid)
{
    if (pid == 0)
        return 0;
    pid_t group = getpgid(pid);
    if (group <= 0)
        command_line_fail(&line, "--pid: got '%d', expected a process that runs", (int)pid);
    if (group == getpgrp())
        command_line_fail(&line, "--pid: process %d is in flashbench's own process group %d, expected one in another (setsid)",
                          (int)pid, (int)group);
    return group;
}

/* Parses the URI of --connect, or makes one of its address and the path. Errors do not show the URI, as it may hold a key. */
static void parse_connect(struct ws_uri *uri)
{
    struct text text = {0};
    struct address address;
    bool is_uri = strstr(settings.connect, "://") != NULL;
    const char *error;

    if (is_uri && settings.path)
        command_line_fail(&line, "--path: the URI of --connect has the path");
    if (!is_uri && address_parse(&address, settings.connect) != 0)
        command_line_fail(&line, "--connect: expected a ws:// URI, or IP:PORT such as 127.0.0.1:8545");
    text_format(&text, "%s%s%s", is_uri ? "" : "ws://", settings.connect, is_uri ? "" : settings.run.path);
    if (ws_uri_parse(uri, text.bytes, &error) != 0)
        command_line_fail(&line, "--connect: %s", error);
    if (uri->tls)
        command_line_fail(&line,
                          "--connect: wss:// is not measured, as deciphering for all subscribers would take flashbench longer "
                          "than the proxy; expected ws://, behind what ends TLS");
    text_dispose(&text);
}

/* Finds an address of the URI's host that accepts connections now. */
static void find_address(const struct ws_uri *uri, struct address *address)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    char error[256];
    int descriptor = connect_to_host(uri, error, sizeof error);

    if (descriptor < 0)
        command_line_fail(&line, "--connect: %s", error);
    if (getpeername(descriptor, (struct sockaddr *)&peer, &length) != 0 ||
        address_from_sockaddr(address, (struct sockaddr *)&peer) != 0)
        command_line_fail(&line, "--connect: %s: not an IP address", uri->host);
    close(descriptor);
}

static void choose_path(void)
{
    struct text text = {0};
    struct ws_uri uri;
    const char *error;

    settings.run.path = settings.path ? settings.path : "/ws";
    text_format(&text, "ws://127.0.0.1%s", settings.run.path);
    if (settings.run.path[0] != '/' || ws_uri_parse(&uri, text.bytes, &error) != 0)
        command_line_fail(&line, "--path: expected the path of a URI, such as /ws");
    ws_uri_dispose(&uri);
    text_dispose(&text);
}

static void choose_proxies(struct bench_measurement *m)
{
    static struct ws_uri uri;

    if (!settings.connect) {
        add_proxies(m, &settings.against);
        add_proxies(m, &settings.proxies);
        return;
    }
    if (settings.builder_listen.port == 0 || settings.proxies.count + settings.against.count > 0)
        command_line_fail(&line, "--connect goes with --builder-listen and without --proxy");
    m->proxy_count = 1;
    snprintf(m->proxies[0].label, sizeof m->proxies[0].label, "running");
    m->options.builder_listen = &settings.builder_listen;
    m->options.group = find_group((pid_t)settings.pid);
    parse_connect(&uri);
    find_address(&uri, &m->options.connect);
    m->options.uri = &uri;
}

static void choose_points(struct bench_measurement *m)
{
    for (size_t s = 0; s < settings.subscribers.count; s++)
        for (size_t b = 0; b < settings.bytes.count; b++)
            for (size_t i = 0; i < settings.intervals.count; i++) {
                if (m->point_count == MEASUREMENT_MAX_POINTS)
                    command_line_fail(&line, "more than %u points in the sweep", MEASUREMENT_MAX_POINTS);
                m->points[m->point_count++] =
                    (struct run_point){settings.subscribers.values[s], settings.bytes.values[b], settings.intervals.values[i]};
            }
}

static struct proxy *find_proxy(struct bench_measurement *m, const char *label)
{
    for (unsigned i = 0; i < m->proxy_count; i++)
        if (strcmp(m->proxies[i].label, label) == 0)
            return &m->proxies[i];
    return NULL;
}

static void choose_scenario(struct bench_measurement *m)
{
    static struct proxy baseline;

    for (unsigned i = 0; i < m->proxy_count; i++)
        m->proxies[i].plain = settings.only.count > 0;
    for (size_t k = 0; k < settings.only.count; k++) {
        struct proxy *proxy = find_proxy(m, settings.only.values[k]);
        if (!proxy)
            command_line_fail(&line, "--only: got '%s', expected the label of a proxy", settings.only.values[k]);
        proxy->plain = false;
    }
    if (!settings.baseline)
        return;
    if (!proxy_parse(&baseline, settings.baseline))
        command_line_fail(&line, "--baseline: got '%s', expected a command with {upstream} and {listen} in it",
                          settings.baseline);
    baseline.plain = true;
    m->baseline = &baseline;
}

/* Puts the proxy on the first core that flashbench may use and flashbench on the second, unless options say otherwise. */
static void choose_cores(struct bench_measurement *m)
{
    cpu_set_t allowed;
    int cores[2] = {-1, -1};
    unsigned found = 0;

    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int core = 0; core < CPU_SETSIZE && found < 2; core++)
        if (CPU_ISSET((size_t)core, &allowed))
            cores[found++] = core;
    m->options.proxy_core_count = 0;
    for (size_t i = 0; i < settings.proxy_cores.count; i++)
        m->options.proxy_cores[m->options.proxy_core_count++] = (int)settings.proxy_cores.values[i];
    if (settings.no_pin || found < 2)
        return;
    if (m->options.proxy_core_count == 0)
        m->options.proxy_cores[m->options.proxy_core_count++] = cores[0];
    size_t own_core = settings.own_core != UINT64_MAX ? settings.own_core : (size_t)cores[1];
    CPU_ZERO(&allowed);
    CPU_SET(own_core, &allowed);
    if (sched_setaffinity(0, sizeof allowed, &allowed) != 0)
        command_line_fail(&line, "--own-core: core %zu cannot be used: %s", own_core, strerror(errno));
    settings.pinned_core = (int)own_core;
}

static bool is_proxy_core(const struct run_options *options, int core)
{
    for (unsigned i = 0; i < options->proxy_core_count; i++)
        if (options->proxy_cores[i] == core)
            return true;
    return false;
}

static bool is_loopback(const struct ip_address *ip)
{
    static const uint8_t v6[16] = {[15] = 1};

    return ip_address_is_v4(ip) ? ip->bytes[12] == 127 : memcmp(ip->bytes, v6, sizeof v6) == 0;
}

/* Called last before the measurement, because the changed setting must be put back afterwards. */
static void give_softirq_to_receivers(const struct run_options *options)
{
    char error[768];

    if (settings.pinned_core < 0 || is_proxy_core(options, settings.pinned_core))
        command_line_fail(&line, "--receivers-softirq: expected a core for the subscribers alone (two cores, and no --no-pin)");
    if (options->uri && !is_loopback(&options->connect.ip))
        command_line_fail(&line, "--receivers-softirq: expected a proxy on loopback");
    if (!receivers_softirq_begin((unsigned)settings.pinned_core, error, sizeof error))
        command_line_fail(&line, "--receivers-softirq: %s", error);
}

/* --- the measurement --- */

static void on_signal(int signal_number)
{
    (void)signal_number;
    run_interrupted = 1;
}

static void print_progress(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

static void write_file(const char *path, const struct text *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

    if (!file || fwrite(text->bytes, 1, text->length, file) != text->length ||
        (file == stdout ? fflush(file) : fclose(file)) != 0) {
        fprintf(stderr, "flashbench: cannot write %s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void read_document(const char *path, struct text *text)
{
    char piece[65536];
    size_t n;
    FILE *file = fopen(path, "r");

    if (!file)
        command_line_fail(&line, "%s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        text_add(text, piece, n);
    fclose(file);
    if (text->length == 0 || strncmp(text->bytes, REPORT_JSON_BEGINNING, strlen(REPORT_JSON_BEGINNING)) != 0)
        command_line_fail(&line, "%s: expected a result of this version's --json, which begins with %s", path,
                          REPORT_JSON_BEGINNING);
}

static void write_page(const struct text *own)
{
    struct text documents[MAX_DOCUMENTS + 1] = {0}, page = {0};
    size_t count = 0;

    for (; count < MAX_DOCUMENTS && settings.documents[count]; count++)
        read_document(settings.documents[count], &documents[count]);
    if (own)
        text_add(&documents[count++], own->bytes, own->length);
    report_html(documents, count, &page);
    write_file(settings.html, &page);
    for (size_t i = 0; i < count; i++)
        text_dispose(&documents[i]);
    text_dispose(&page);
}

static int measure(struct bench_measurement *m)
{
    struct text json = {0};
    bool on_terminal = isatty(STDERR_FILENO) != 0;

    if (bench_measurement_init(m) != 0)
        command_line_fail(&line, "no memory for so many runs");
    bool good = bench_measurement_run(m, on_terminal ? print_progress : NULL, NULL);
    if (on_terminal)
        fputs("\r\033[K", stderr);
    report_json(m, &json);
    if (!settings.json || strcmp(settings.json, "-") != 0)
        report_table(m, stdout);
    if (settings.json)
        write_file(settings.json, &json);
    if (settings.html)
        write_page(&json);
    for (unsigned point = 0; point < m->point_count; point++)
        for (unsigned proxy = 0; proxy < m->proxy_count; proxy++)
            good = good && !bench_measurement_is_flawed(m, point, proxy);
    text_dispose(&json);
    bench_measurement_dispose(m);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct bench_measurement measurement;
    const struct sigaction interrupt = {.sa_handler = on_signal};

    parse_command_line(argc, argv);
    if (settings.list_presets) {
        print_presets();
        return 0;
    }
    choose_path();
    measurement.options = settings.run;
    choose_proxies(&measurement);
    if (measurement.proxy_count == 0) {
        if (!settings.html || !settings.documents[0])
            command_line_fail(&line, "--proxy missing: a command, flashrelay or bare_loop (--help explains)");
        write_page(NULL);
        return 0;
    }
    choose_scenario(&measurement);
    choose_points(&measurement);
    choose_cores(&measurement);
    measurement.rounds = settings.rounds != 0 ? (unsigned)settings.rounds : measurement.proxy_count > 1 ? 7 : 1;
    process_raise_descriptor_limit();
    prctl(PR_SET_TIMERSLACK, 1);
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGTERM, &interrupt, NULL);
    if (settings.run.receivers_softirq)
        give_softirq_to_receivers(&measurement.options);
    int status = measure(&measurement);
    return receivers_softirq_end() ? status : 1;
}
