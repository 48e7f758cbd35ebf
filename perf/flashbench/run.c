#include "flashbench/run.h"

#include "common/scrape.h"
#include "common/text.h"
#include "flashbench/builder.h"
#include "flashbench/softirq.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define START_PATIENCE_NS (10 * NS_PER_S)
#define TICK_NS           NS_PER_MS
#define BUSY_TICK_NS      (20 * NS_PER_MS) /* other work waits at most this long while the crowd is never idle */
#define LOOK_NS           (1 * NS_PER_S)
#define PROGRESS_NS       (250 * NS_PER_MS)
#define STOP_PATIENCE_MS  7000
#define BUSY_LIMIT        0.95
#define LATENESS_LIMIT_NS (5 * NS_PER_MS)

volatile sig_atomic_t run_interrupted;

struct run {
    const struct run_options *options;
    struct run_result *result;
    struct messages *messages;
    struct bench_builder *builder;
    struct crowd *crowd;
    struct process process;
    struct ws_uri uri; /* of the upgrade requests, made of the proxy's address; unused if options->uri is set */
    pid_t group;       /* of the proxy; 0: unknown */
    struct proxy_meter *meter;
    run_progress *progress;
    void *progress_context;
    uint64_t next_tick_ns, next_progress_ns, last_tick_ns, churn_debt; /* churn_debt: in 1/NS_PER_S readers */
    uint64_t next_due_ns;                                              /* of the next message; CLOCK_NEVER: none is sent */
    uint64_t sent, warm_up_messages, all_messages;
    uint64_t spun_ns, own_cpu_start_ns, measured_since_ns, next_look_ns, next_memory_ns;
    struct address metrics;
    char *scrape_before;
    bool sampled_start, builder_behind;
};

static void fail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct run *run, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->result->failure, sizeof run->result->failure, format, arguments);
    va_end(arguments);
}

static bool goes_on(struct run *run)
{
    if (run->result->failure[0] == '\0' && run->process.pid != 0 && !process_is_running(&run->process))
        fail(run, WIFSIGNALED(run->process.status) ? "the proxy was ended by signal %d" : "the proxy ended with status %d",
             WIFSIGNALED(run->process.status) ? WTERMSIG(run->process.status) : WEXITSTATUS(run->process.status));
    return run->result->failure[0] == '\0' && !run_interrupted;
}

static void report(struct run *run, uint64_t now_ns, const char *what)
{
    const struct message_totals *totals = &run->messages->totals;
    char line[160];

    if (!run->progress || now_ns < run->next_progress_ns)
        return;
    run->next_progress_ns = now_ns + PROGRESS_NS;
    snprintf(line, sizeof line, "%s: %s, %u subscribers, %llu of %llu messages, %llu deliveries, %llu lost, last %.1f ms",
             run->result->proxy->label, what, crowd_open(run->crowd), (unsigned long long)run->sent,
             (unsigned long long)run->all_messages, (unsigned long long)totals->deliveries, (unsigned long long)totals->lost,
             (double)recorder_quantile(&totals->stamped.last, 0.5) / 1e6);
    run->progress(run->progress_context, line);
}

/* --- timed work --- */

/* Churns as many readers as churn_per_s demands for the time since the last call. */
static void churn(struct run *run, uint64_t now_ns)
{
    uint64_t passed_ns = run->last_tick_ns != 0 ? now_ns - run->last_tick_ns : 0;

    run->last_tick_ns = now_ns;
    if (run->next_due_ns == CLOCK_NEVER)
        return;
    run->churn_debt += run->options->churn_per_s * passed_ns;
    crowd_churn(run->crowd, (uint32_t)(run->churn_debt / NS_PER_S));
    run->churn_debt %= NS_PER_S;
}

/* Adds a point to the memory's time line when one is due. */
static void note_memory(struct run *run, uint64_t now_ns)
{
    struct run_result *result = run->result;
    struct process_memory memory;

    if (now_ns < run->next_memory_ns || result->memory_points == RUN_MEMORY_POINTS)
        return;
    uint64_t step_ns = run->options->duration_ns / (RUN_MEMORY_POINTS - 1);
    run->next_memory_ns = now_ns + (step_ns > LOOK_NS ? step_ns : LOOK_NS);
    if (process_group_memory(run->group, &memory))
        result->memory_line[result->memory_points++] =
            (struct run_memory_point){(double)(now_ns - run->measured_since_ns) / 1e9, memory.rss_bytes + memory.huge_bytes};
}

/* Reads the proxy's meter and memory once per second of the measured time. */
static void look(struct run *run, uint64_t now_ns)
{
    if (!run->sampled_start || run->group == 0 || now_ns < run->next_look_ns)
        return;
    run->next_look_ns = now_ns + LOOK_NS;
    proxy_meter_look(run->meter);
    note_memory(run, now_ns);
}

static void tick(struct run *run, uint64_t now_ns)
{
    run->next_tick_ns = now_ns + TICK_NS;
    bench_builder_serve(run->builder);
    crowd_tick(run->crowd, now_ns);
    churn(run, now_ns);
    if (run->next_due_ns == CLOCK_NEVER || run->next_due_ns > now_ns + TICK_NS / 2) {
        bench_builder_prepare(run->builder, now_ns);
        messages_settle(run->messages, now_ns, run->options->patience_ns);
        look(run, now_ns);
    }
}

static void offer(struct run *run, uint64_t now_ns)
{
    bool measured = run->sent >= run->warm_up_messages;

    if (measured)
        recorder_add(&run->result->lateness, now_ns - run->next_due_ns);
    for (uint64_t i = 0; i < run->options->burst; i++)
        bench_builder_offer(run->builder, run->next_due_ns, crowd_owed(run->crowd), measured);
    run->sent += run->options->burst;
    uint64_t backlog = run->messages->head + 1 - run->messages->unsettled;
    if (measured && backlog > run->result->peak_backlog)
        run->result->peak_backlog = backlog;
    run->builder_behind = true;
    run->next_due_ns += run->result->point.interval_ns;
}

/* How long the crowd may sleep: until the next message or tick is due. */
static uint64_t idle_ns(const struct run *run, uint64_t now_ns)
{
    uint64_t until_ns = run->next_due_ns < run->next_tick_ns ? run->next_due_ns : run->next_tick_ns;

    return run->options->poll || run->builder_behind || until_ns <= now_ns ? 0 : until_ns - now_ns;
}

/* One turn: offers messages that are due, handles the subscribers' events, does the timed work. */
static void turn(struct run *run, const char *what)
{
    uint64_t before_ns = clock_monotonic_ns();

    if (before_ns >= run->next_due_ns)
        offer(run, before_ns);
    if (run->builder_behind)
        run->builder_behind = bench_builder_flush(run->builder);
    unsigned events = crowd_turn(run->crowd, idle_ns(run, clock_monotonic_ns()));
    uint64_t now_ns = clock_monotonic_ns();
    if (events == 0 && run->options->poll)
        run->spun_ns += now_ns - before_ns;
    if (now_ns >= run->next_tick_ns && (events == 0 || now_ns >= run->next_tick_ns + BUSY_TICK_NS)) {
        tick(run, now_ns);
        report(run, now_ns, what);
    }
}

/* --- phases --- */

static bool connect_everybody(struct run *run)
{
    const struct run_point *point = &run->result->point;
    uint64_t wanted = point->subscribers + run->options->slow + run->options->stalled;
    uint64_t deadline_ns = clock_monotonic_ns() + START_PATIENCE_NS + wanted * NS_PER_MS;

    while (goes_on(run) && bench_builder_connections(run->builder) == 0 && clock_monotonic_ns() < deadline_ns) {
        bench_builder_serve(run->builder);
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    }
    if (goes_on(run) && bench_builder_connections(run->builder) == 0)
        fail(run, "the proxy did not connect to its upstream within %u s", (unsigned)(START_PATIENCE_NS / NS_PER_S));
    if (run->group != 0)
        process_group_memory(run->group, &run->result->memory_before);
    while (goes_on(run) && crowd_open(run->crowd) < wanted && clock_monotonic_ns() < deadline_ns)
        turn(run, "connecting");
    if (goes_on(run) && crowd_open(run->crowd) < wanted)
        fail(run, "only %u of %llu subscribers were accepted (%llu refused)", crowd_open(run->crowd), (unsigned long long)wanted,
             (unsigned long long)crowd_counters_get(run->crowd)->refused);
    return goes_on(run);
}

/* CPU time of flashbench; if it is pinned to one core, with that of the core's ksoftirqd. */
static uint64_t own_cpu_ns(void)
{
    struct timespec used;
    uint64_t softirq_ns = 0;
    cpu_set_t cores;

    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) == 1)
        softirq_cpu_ns(&cores, &softirq_ns);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec + softirq_ns;
}

static void sample_start(struct run *run)
{
    crowd_reset_counters(run->crowd);
    if (run->options->scrape)
        run->scrape_before = scrape_counters(&run->metrics);
    proxy_meter_start(run->meter);
    run->own_cpu_start_ns = own_cpu_ns();
    run->measured_since_ns = clock_monotonic_ns();
    run->spun_ns = 0;
    run->sampled_start = true;
}

/* Ends the measurement of figures per second: all messages of the measured time have arrived, or the next would be due. */
static void stop_clock(struct run *run)
{
    uint64_t measured_ns = clock_monotonic_ns() - run->measured_since_ns;

    if (!run->sampled_start)
        return;
    proxy_meter_stop_clock(run->meter);
    run->result->busy_share = (double)(own_cpu_ns() - run->own_cpu_start_ns - run->spun_ns) / (double)measured_ns;
}

static void sample_end(struct run *run)
{
    struct run_result *result = run->result;

    if (!run->sampled_start)
        return;
    proxy_meter_stop(run->meter, &result->usage);
    if (run->group != 0)
        process_group_memory(run->group, &result->memory_after);
    result->crowd = *crowd_counters_get(run->crowd);
    result->open_at_end = crowd_open(run->crowd);
    if (run->options->scrape) {
        char *after = scrape_counters(&run->metrics);
        result->scraped = scrape_difference(run->scrape_before, after, run->options->scrape);
        free(after);
    }
}

/* Runs until all offered messages have arrived or were given up, or until `deadline_ns`. */
static void wait_for_arrivals(struct run *run, uint64_t deadline_ns)
{
    while (goes_on(run) && run->messages->unsettled <= run->messages->head && clock_monotonic_ns() < deadline_ns)
        turn(run, "waiting");
}

/*
 * The measured time begins and ends where a proxy that keeps up has nothing to do: when everything sent has arrived, at the latest just
 * before the next message is due, or would be due after the last one.
 */
static bool is_quiet(const struct run *run)
{
    return run->messages->unsettled > run->messages->head ||
           clock_monotonic_ns() + run->result->point.interval_ns / 8 > run->next_due_ns;
}

static void send_messages(struct run *run)
{
    const struct run_options *options = run->options;
    uint64_t interval_ns = run->result->point.interval_ns;

    run->warm_up_messages = (options->warm_up_ns / interval_ns + 1) * options->burst;
    run->all_messages = run->warm_up_messages + (options->duration_ns / interval_ns) * options->burst;
    run->next_due_ns = clock_monotonic_ns() + interval_ns;
    while (goes_on(run) && run->sent < run->warm_up_messages)
        turn(run, "warming up");
    while (goes_on(run) && !is_quiet(run))
        turn(run, "warming up");
    sample_start(run);
    while (goes_on(run) && run->sent < run->all_messages)
        turn(run, "measuring");
    uint64_t over_ns = run->next_due_ns;
    run->next_due_ns = CLOCK_NEVER;
    wait_for_arrivals(run, over_ns);
    stop_clock(run);
    wait_for_arrivals(run, clock_monotonic_ns() + options->patience_ns);
    run->result->complete = goes_on(run);
}

static int compare_ranks(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void keep_ranks(struct run *run)
{
    struct run_result *result = run->result;
    const struct messages *messages = run->messages;

    result->ranks = calloc(messages->columns, sizeof(double));
    for (uint32_t i = 0; i < messages->columns && result->ranks; i++)
        if (messages->rank_counts[i] > 0)
            result->ranks[result->rank_count++] = messages->rank_sums[i] / messages->rank_counts[i];
    if (result->ranks)
        qsort(result->ranks, result->rank_count, sizeof(double), compare_ranks);
}

static void conclude(struct run *run)
{
    struct run_result *result = run->result;

    sample_end(run);
    while (messages_settle(run->messages, clock_monotonic_ns(), result->complete ? 0 : run->options->patience_ns))
        continue;
    messages_abandon(run->messages, clock_monotonic_ns());
    keep_ranks(run);
    result->totals = run->messages->totals;
    run->messages->totals.points = NULL;
    result->was_bottleneck = result->busy_share > BUSY_LIMIT || recorder_quantile(&result->lateness, 0.99) > LATENESS_LIMIT_NS;
}

/* --- life --- */

static bool create_crowd(struct run *run, const struct address *target)
{
    const struct run_options *options = run->options;
    const struct crowd_options crowd = {
        .target = *target,
        .uri = options->uri ? options->uri : &run->uri,
        .counts = {(uint32_t)run->result->point.subscribers, (uint32_t)options->slow, (uint32_t)options->stalled},
        .slow_bytes_per_s = options->slow_bytes_per_s,
        .reconnect_ns = options->reconnect_ns,
        .skip_above_bytes = 8192,
        .verify_every = (uint32_t)options->verify_every,
        .messages = run->messages,
    };
    int error = crowd_create(&run->crowd, &crowd);

    if (error != 0)
        fail(run, "cannot prepare the subscribers: %s", strerror(-error));
    return error == 0;
}

/* Called right after the proxy was started, so that threads that the proxy starts later are counted, too. */
static bool create_meter(struct run *run)
{
    run->meter = proxy_meter_create(run->group, run->options->count_system_calls);
    if (!run->meter)
        fail(run, "no memory");
    return run->meter;
}

static bool create_builder(struct run *run)
{
    struct bench_builder_options builder = {
        .message_bytes = run->result->point.bytes, .seed = random_system_seed(), .messages = run->messages};

    address_parse(&builder.listen, "127.0.0.1:0");
    if (run->options->builder_listen)
        builder.listen = *run->options->builder_listen;
    int error = bench_builder_create(&run->builder, &builder);
    if (error != 0)
        fail(run, "the builder cannot listen: %s", strerror(-error));
    return error == 0;
}

/* Makes the URI of the upgrade requests. It is valid, as the path was checked with the command line. */
static bool make_uri(struct run *run, const struct address *listen)
{
    char address[ADDRESS_TEXT_BYTES];
    struct text uri = {0};
    const char *error;

    text_format(&uri, "ws://%s%s", address_format(listen, address), run->options->path);
    int result = ws_uri_parse(&run->uri, uri.bytes, &error);
    text_dispose(&uri);
    return result == 0;
}

static bool start_proxy(struct run *run, struct address *target)
{
    const struct run_options *options = run->options;
    struct proxy_addresses addresses = {.upstream_port = bench_builder_port(run->builder)};

    if (options->uri) {
        run->group = options->group;
        *target = options->connect;
        return true;
    }
    int error = proxy_free_address(&addresses.listen);
    if (error == 0)
        error = proxy_free_address(&addresses.metrics);
    if (error == 0)
        error = proxy_start(run->result->proxy, &run->process, &addresses, options->proxy_cores, options->proxy_core_count,
                            options->proxy_output);
    if (error != 0)
        fail(run, "cannot start \"%s\": %s", run->result->proxy->command, strerror(-error));
    else if (!make_uri(run, &addresses.listen))
        fail(run, "no memory");
    *target = addresses.listen;
    run->metrics = addresses.metrics;
    run->group = run->process.pid;
    return run->result->failure[0] == '\0';
}

/* The subscribers disconnect first: a proxy that is asked to end while it has subscribers may spread their closes over seconds. */
static void end(struct run *run)
{
    proxy_meter_destroy(run->meter);
    ws_uri_dispose(&run->uri);
    crowd_destroy(run->crowd);
    if (run->process.pid != 0)
        process_stop(&run->process, STOP_PATIENCE_MS);
    bench_builder_destroy(run->builder);
    messages_dispose(run->messages);
    free(run->messages);
    free(run->scrape_before);
}

void run_measure(const struct run_options *options, const struct run_point *point, const struct proxy *proxy,
                 run_progress *progress, void *context, struct run_result *result)
{
    struct run_options own = *options;
    struct run run = {
        .options = &own, .result = result, .progress = progress, .progress_context = context, .next_due_ns = CLOCK_NEVER};
    struct address target;

    if (proxy->plain)
        own.churn_per_s = own.slow = own.stalled = 0;
    memset(result, 0, sizeof *result);
    result->point = *point;
    result->proxy = proxy;
    run.messages = malloc(sizeof *run.messages);
    if (!run.messages || messages_init(run.messages, (uint32_t)point->subscribers) != 0) {
        free(run.messages);
        fail(&run, "no memory for %llu subscribers", (unsigned long long)point->subscribers);
        return;
    }
    if (create_builder(&run) && start_proxy(&run, &target) && create_meter(&run) && create_crowd(&run, &target) &&
        connect_everybody(&run)) {
        send_messages(&run);
        conclude(&run);
    }
    end(&run);
}

void run_result_dispose(struct run_result *result)
{
    free(result->totals.points);
    free(result->ranks);
    free(result->scraped);
    memset(result, 0, sizeof *result);
}

uint64_t run_wrong(const struct run_result *result)
{
    const struct message_totals *totals = &result->totals;

    return totals->repeated + totals->reordered + totals->corrupt + totals->late + result->crowd.protocol_errors;
}

bool run_is_flawed(const struct run_result *result)
{
    return result->totals.lost > 0 || run_wrong(result) > 0 || result->crowd.cut_off[CROWD_READER] > 0;
}

uint64_t run_memory_bytes(const struct process_memory *memory)
{
    return memory->pss_bytes + memory->huge_bytes;
}
