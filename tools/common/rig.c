#include "common/rig.h"

#include "common/builder.h"
#include "common/flashblock_generator.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_uri.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLASHBLOCKS_PER_BLOCK 10
#define MAX_ARGUMENTS         32
#define START_PATIENCE_NS     (20 * NS_PER_S)
#define STOP_PATIENCE_MS      15000
#define LOOK_INTERVAL_NS      (20 * NS_PER_MS)
/* Delay after which a subscriber that could not connect tries again. */
#define RETRY_NS (50 * NS_PER_MS)
/* How long the `churn` subscribers stay connected, and stay away. */
#define CHURN_STAY_NS (500 * NS_PER_MS)
#define CHURN_AWAY_NS (100 * NS_PER_MS)

struct rig {
    struct rig_options options;
    struct ledger ledger;
    struct flashblock_generator *generator;
    struct builder *builder;
    pthread_t builder_thread;
    atomic_bool publishing, paused, builder_ends; /* paused: the builder's thread has seen `publishing` false */
    _Atomic uint32_t relays;
    _Atomic uint64_t published;
    struct process relay;
    struct process_memory baseline;
    struct ws_uri uri;
    struct fleet *fleet;
    struct ledger_cursor *cursors;
    uint64_t cut_off;
    bool thread_runs, leaving;
    char refusal[128]; /* why the last attempt to connect failed */
};

static void publish_next(struct rig *rig, const struct flashblock **flashblock)
{
    uint64_t offered_ns;

    flashblock_generator_stamp(rig->generator, clock_realtime_ns());
    offered_ns = clock_monotonic_ns();
    ledger_append(&rig->ledger, (*flashblock)->text, (*flashblock)->length, offered_ns);
    builder_publish(rig->builder, WS_TEXT, (*flashblock)->text, (*flashblock)->length);
    atomic_fetch_add(&rig->published, 1);
    builder_turn(rig->builder, 0);
    *flashblock = flashblock_generator_next(rig->generator);
}

static void *run_builder(void *context)
{
    struct rig *rig = context;
    const struct flashblock *next = flashblock_generator_next(rig->generator);
    uint64_t due_ns = 0;

    while (!atomic_load(&rig->builder_ends)) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t look_ns = now_ns + LOOK_INTERVAL_NS;

        if (!atomic_load(&rig->publishing)) {
            atomic_store(&rig->paused, true);
            due_ns = now_ns;
        } else if (now_ns >= due_ns) {
            publish_next(rig, &next);
            due_ns += rig->options.interval_ns;
            continue;
        }
        builder_turn(rig->builder, due_ns > now_ns && due_ns < look_ns ? due_ns : look_ns);
        atomic_store(&rig->relays, builder_relays(rig->builder));
    }
    return NULL;
}

static void on_data(void *context, uint32_t member, const struct ws_event *piece, uint64_t now_ns)
{
    struct rig *rig = context;

    ledger_check(&rig->ledger, &rig->cursors[member], piece->bytes, piece->length, piece->last, now_ns);
}

static bool is_guest(const struct rig *rig, uint32_t member)
{
    return member >= rig->options.subscribers;
}

static void on_opened(void *context, uint32_t member, uint64_t now_ns)
{
    struct rig *rig = context;

    (void)now_ns;
    if (is_guest(rig, member))
        rig->cursors[member] = (struct ledger_cursor){.guest = true};
}

static void on_ended(void *context, uint32_t member, const struct fleet_end *end, uint64_t now_ns)
{
    struct rig *rig = context;

    (void)now_ns;
    if (!end->was_open) {
        snprintf(rig->refusal, sizeof rig->refusal, "%.*s", end->reason_length > 0 ? (int)end->reason_length : 100,
                 end->reason_length > 0 ? end->reason : strerror(-end->error));
    } else if (!rig->leaving && !(is_guest(rig, member) && end->close_code == WS_CLOSE_NORMAL)) {
        rig->cut_off++;
        if (rig->options.on_ended)
            rig->options.on_ended(rig->options.context, member, end);
    }
}

static const struct fleet_handler fleet_handler = {.opened = on_opened, .data = on_data, .ended = on_ended};

static bool is_stopped(const struct rig *rig)
{
    return rig->options.stop && *rig->options.stop != 0;
}

static int start_builder(struct rig *rig)
{
    struct flashblock_generator_options content = {
        .seed = random_system_seed(),
        .size_bytes = rig->options.size_bytes,
        .per_block = FLASHBLOCKS_PER_BLOCK,
        .first_block_number = 1,
    };
    struct builder_options options = {.max_message_bytes = rig->options.size_bytes + 4096, .max_relays = 4};
    int result = flashblock_generator_create(&rig->generator, &content);

    address_parse(&options.listen, "127.0.0.1:0");
    if (result == 0)
        result = builder_create(&rig->builder, &options);
    if (result == 0)
        result = -pthread_create(&rig->builder_thread, NULL, run_builder, rig);
    rig->thread_runs = result == 0;
    return result;
}

static const char *address_of_relay(const struct rig *rig)
{
    return rig->options.address ? rig->options.address : "127.0.0.1";
}

static int start_relay(struct rig *rig, uint16_t port)
{
    char upstream[64], listen[64], members[16], log_memory[32], metrics[96] = "--metrics=false";
    const char *arguments[MAX_ARGUMENTS] = {
        rig->options.relay,
        "--upstream-ws",
        upstream,
        "--listen-addr",
        listen,
        metrics,
        "--per-ip-connection-limit",
        "0",
        "--instance-connection-limit",
        members,
        "--log-memory",
        log_memory,
        "--log-level",
        "warn",
    };
    struct process_options options = {.arguments = (char *const *)arguments, .output = rig->options.relay_output};
    size_t count = 0;

    snprintf(upstream, sizeof upstream, "ws://127.0.0.1:%u/ws", builder_port(rig->builder));
    snprintf(listen, sizeof listen, "%s:%u", address_of_relay(rig), port);
    if (rig->options.metrics_addr)
        snprintf(metrics, sizeof metrics, "--metrics-addr=%s", rig->options.metrics_addr);
    snprintf(members, sizeof members, "%" PRIu32,
             rig->options.subscribers + 2 * rig->options.churn); /* a subscriber that left keeps its place for a moment */
    snprintf(log_memory, sizeof log_memory, "%" PRIu64, rig->options.log_bytes);
    while (arguments[count])
        count++;
    for (const char *const *more = rig->options.arguments; more && *more && count < MAX_ARGUMENTS - 1; more++)
        arguments[count++] = *more;
    return process_start(&rig->relay, &options);
}

static int make_fleet(struct rig *rig, uint16_t port)
{
    struct fleet_options options = {
        .uri = &rig->uri,
        .members = rig->options.subscribers + rig->options.churn,
        .handler = &fleet_handler,
        .context = rig,
        .seed = random_system_seed(),
    };
    char text[64];
    const char *error;
    int result;

    snprintf(text, sizeof text, "ws://%s:%u/ws", address_of_relay(rig), port);
    result = ws_uri_parse(&rig->uri, text, &error);
    if (result == 0)
        result = fleet_create(&rig->fleet, &options);
    return result;
}

/* Waits until the relay has connected to the builder, then notes its memory. */
static bool wait_for_relay(struct rig *rig)
{
    uint64_t deadline_ns = clock_monotonic_ns() + START_PATIENCE_NS;

    while (atomic_load(&rig->relays) == 0) {
        if (!process_is_running(&rig->relay) || is_stopped(rig) || clock_monotonic_ns() > deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_INTERVAL_NS}, NULL);
    }
    process_group_memory(rig->relay.pid, &rig->baseline);
    return true;
}

/* True if `result` is 0; else writes to `error` what failed. */
static bool expect(int result, const char *what, char error[RIG_ERROR_BYTES])
{
    if (result != 0)
        snprintf(error, RIG_ERROR_BYTES, "cannot %s: %s", what, strerror(-result));
    return result == 0;
}

static bool start_all(struct rig *rig, char error[RIG_ERROR_BYTES])
{
    uint16_t port = process_free_port();

    rig->cursors = calloc(rig->options.subscribers + rig->options.churn, sizeof *rig->cursors);
    if (!expect(rig->cursors ? 0 : -ENOMEM, "count subscribers", error) ||
        !expect(start_builder(rig), "start the builder", error) || !expect(start_relay(rig, port), "start the relay", error) ||
        !expect(make_fleet(rig, port), "make subscribers", error))
        return false;
    for (uint32_t i = 0; i < rig->options.subscribers; i++)
        rig->cursors[i].expected = 1; /* all are connected before the first flashblock */
    if (wait_for_relay(rig))
        return true;
    snprintf(error, RIG_ERROR_BYTES, "%s", is_stopped(rig) ? "stopped" : "the relay did not connect to the builder");
    return false;
}

bool rig_start(struct rig **out, const struct rig_options *options, char error[RIG_ERROR_BYTES])
{
    struct rig *rig = calloc(1, sizeof *rig);

    if (!rig) {
        snprintf(error, RIG_ERROR_BYTES, "out of memory");
        return false;
    }
    rig->options = *options;
    ledger_init(&rig->ledger);
    if (!start_all(rig, error)) {
        rig_stop(rig);
        return false;
    }
    *out = rig;
    return true;
}

static void behave(struct rig *rig, uint32_t first, uint32_t count, const struct fleet_behaviour *behaviour)
{
    for (uint32_t i = first; i < first + count; i++)
        fleet_behave(rig->fleet, i, behaviour);
}

bool rig_connect(struct rig *rig, uint64_t patience_ns, char error[RIG_ERROR_BYTES])
{
    uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;
    const struct fleet_figures *figures = fleet_figures_get(rig->fleet);

    behave(rig, 0, rig->options.subscribers, &(struct fleet_behaviour){.returns = true, .return_after_ns = RETRY_NS});
    fleet_join(rig->fleet, 0, rig->options.subscribers);
    while (figures->open < rig->options.subscribers && clock_monotonic_ns() < deadline_ns && !is_stopped(rig) &&
           process_is_running(&rig->relay))
        rig_turn(rig, clock_monotonic_ns() + LOOK_INTERVAL_NS);
    behave(rig, 0, rig->options.subscribers, &(struct fleet_behaviour){0});
    if (figures->open == rig->options.subscribers)
        return true;
    snprintf(error, RIG_ERROR_BYTES, "only %" PRIu32 " of %" PRIu32 " subscribers connected%s%s", figures->open,
             rig->options.subscribers, rig->refusal[0] != '\0' ? "; the last failure: " : "", rig->refusal);
    return false;
}

static void churn(struct rig *rig, bool on)
{
    struct fleet_behaviour behaviour = {.returns = true, .return_after_ns = CHURN_AWAY_NS, .stay_ns = CHURN_STAY_NS};

    if (on) {
        behave(rig, rig->options.subscribers, rig->options.churn, &behaviour);
        fleet_join(rig->fleet, rig->options.subscribers, rig->options.churn);
        return;
    }
    for (uint32_t i = 0; i < rig->options.churn; i++)
        fleet_leave(rig->fleet, rig->options.subscribers + i, false);
}

void rig_publish(struct rig *rig, bool publish)
{
    churn(rig, publish);
    atomic_store(&rig->paused, false);
    atomic_store(&rig->publishing, publish);
}

void rig_turn(struct rig *rig, uint64_t deadline_ns)
{
    fleet_turn(rig->fleet, deadline_ns);
}

/* True if every open subscriber has every message. */
static bool is_complete(struct rig *rig)
{
    uint64_t head = ledger_head(&rig->ledger);

    for (uint32_t i = 0; i < rig->options.subscribers; i++) {
        if (fleet_is_open(rig->fleet, i) && rig->cursors[i].expected != head + 1)
            return false;
    }
    return true;
}

void rig_settle(struct rig *rig, uint64_t patience_ns)
{
    uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;

    rig_publish(rig, false);
    while ((!atomic_load(&rig->paused) || !is_complete(rig)) && clock_monotonic_ns() < deadline_ns)
        rig_turn(rig, clock_monotonic_ns() + LOOK_INTERVAL_NS);
    for (uint32_t i = 0; i < rig->options.subscribers; i++)
        ledger_settle(&rig->ledger, &rig->cursors[i], ledger_head(&rig->ledger));
}

static void leave(struct rig *rig)
{
    uint64_t deadline_ns = clock_monotonic_ns() + START_PATIENCE_NS;

    rig->leaving = true;
    for (uint32_t i = 0; i < rig->options.subscribers + rig->options.churn; i++)
        fleet_leave(rig->fleet, i, false);
    while (fleet_figures_get(rig->fleet)->open > 0 && clock_monotonic_ns() < deadline_ns)
        fleet_turn(rig->fleet, clock_monotonic_ns() + LOOK_INTERVAL_NS);
    fleet_destroy(rig->fleet);
}

bool rig_stop(struct rig *rig)
{
    bool ended_well;

    if (rig->fleet)
        leave(rig);
    ended_well = process_stop(&rig->relay, STOP_PATIENCE_MS);
    if (rig->thread_runs) {
        atomic_store(&rig->builder_ends, true);
        pthread_join(rig->builder_thread, NULL);
    }
    builder_destroy(rig->builder);
    flashblock_generator_destroy(rig->generator);
    ws_uri_dispose(&rig->uri);
    ledger_dispose(&rig->ledger);
    free(rig->cursors);
    free(rig);
    return ended_well;
}

void rig_figures_get(struct rig *rig, struct rig_figures *figures)
{
    *figures = (struct rig_figures){
        .open = fleet_figures_get(rig->fleet)->open,
        .cut_off = rig->cut_off,
        .joined = fleet_figures_get(rig->fleet)->opened - rig->options.subscribers,
        .published = atomic_load(&rig->published),
        .tally = ledger_tally_get(&rig->ledger),
        .baseline = rig->baseline,
        .relay_runs = process_is_running(&rig->relay),
    };
    if (figures->relay_runs) {
        figures->relay_cpu_ns = process_group_cpu_ns(rig->relay.pid);
        process_group_memory(rig->relay.pid, &figures->memory);
    }
}

struct ledger *rig_ledger(struct rig *rig)
{
    return &rig->ledger;
}
