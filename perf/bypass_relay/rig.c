#include "bypass_relay/rig.h"

#include "engine/dpdk/memory.h"
#include "engine/dpdk/port.h"
#include "engine/tcp/tcp.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_tcp.h"
#include "flashrelay/log.h"
#include "flashrelay/random.h"
#include "population/transmit_ring.h"

#include <rte_lcore.h>

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER_IP     0xc0000201 /* as server_ip */
#define SERVER_PORT   9000
#define IP_TCP_BYTES  40
#define CLIENT_WINDOW (UINT32_C(4) << 20)
#define TSO_BYTES     64000
#define FRAME_OPCODE  1
#define FRAME_HEADER  14
#define LOG_BYTES     (UINT64_C(16) << 20)
#define LOG_ENTRIES   4096
/*
 * A second reader of the log keeps so many frames: a log that were empty after each round would put all frames at the same place, and a frame
 * could be mistaken for another.
 */
#define KEPT_FRAMES      8
#define CONNECTS_AT_ONCE 1024
/* As the relay's own shards have them (dataplane/relay/parts.c). */
#define RECEIVE_BUFFERS      128
#define RECEIVE_BUFFER_BYTES 1024
#define SENDS_PER_TURN       256
/* So much time without any progress, by the relay's clock, ends the program. */
#define STUCK_NS (120 * NS_PER_S)
/* By this much the clock is put forward where nothing is to be done: then the engine goes to sleep. */
#define IDLE_NS (51 * NS_PER_US)

static const uint8_t server_mac[6] = {2, 0, 0, 0, 0, 2};
static const char server_ip[] = "192.0.2.1";

/* --- life --- */

static uint64_t read_clock(void *context)
{
    return meter_now_ns(context);
}

static int create_population(struct rig *rig)
{
    struct population_options options = {
        .clients = rig->options.subscribers,
        .seed = rig->options.seed,
        .rtt_ns = rig->options.rtt_ns,
        .acks = rig->options.acks,
        .loss = rig->options.loss,
        .syns_per_s = rig->options.syns_per_s,
        .stalled = rig->options.stalled,
        .stalled_bytes = rig->options.bytes / 2,
        .window_bytes = CLIENT_WINDOW,
        .mss = (uint16_t)(rig->options.mtu - IP_TCP_BYTES),
        .server_ip = SERVER_IP,
        .server_port = SERVER_PORT,
        .now = read_clock,
        .context = &rig->meter,
    };
    int error;

    memcpy(options.server_mac, server_mac, sizeof server_mac);
    error = population_create(&rig->population, &options);
    if (error != 0)
        return error;
    meter_init(&rig->meter, rig->population);
    rig->meter.has_long_lists = rig->options.stalled > 0;
    return 0;
}

/* Subscribers that stall hold frames: then the log has room for all that are sent. */
static uint64_t log_bytes(const struct rig_options *options)
{
    uint64_t all = (uint64_t)(options->rounds + 2) * (options->bytes + FRAME_HEADER);

    return options->stalled > 0 && all > LOG_BYTES ? all : LOG_BYTES;
}

static int create_channel(struct rig *rig)
{
    void *marks;

    if (posix_memalign(&marks, _Alignof(struct channel_marks), sizeof(struct channel_marks)) != 0)
        return -ENOMEM;
    rig->marks = marks;
    channel_marks_init(rig->marks, 2);
    rig->source = dpdk_memory_source((int)rte_socket_id());
    const struct channel_options options = {
        .name = "json",
        .arena_bytes = log_bytes(&rig->options),
        .entries = LOG_ENTRIES,
        .marks = rig->marks,
        .memory = &rig->source,
    };
    int error = channel_create(&rig->channel, &options);
    if (error == 0)
        channel_reader_join(rig->channel, 1);
    return error;
}

static int create_port(struct rig *rig)
{
    struct dpdk_port_options options = {
        .limits = {.mtu = rig->options.mtu, .tso_bytes = rig->options.tso ? TSO_BYTES : 0},
        .burst = population_burst(rig->population),
        .socket = (int)rte_socket_id(),
        .packets = TRANSMIT_RING_ENTRIES,
        .chains = true,
        .frees_in_order = true,
    };
    int error;

    memcpy(options.limits.mac, server_mac, sizeof server_mac);
    error = dpdk_port_create(&rig->port, &options);
    if (error == 0)
        meter_watch_port(&rig->meter, rig->port);
    return error;
}

static int create_host(struct rig *rig)
{
    struct host_options options = {.address_count = 1, .mtu = rig->options.mtu};
    struct host_address *address = &options.addresses[0];

    address->prefix_bits = 24;
    ip_address_parse(&address->ip, server_ip, strlen(server_ip));
    return host_create(&rig->host, &options, &rig->port->limits, 1);
}

static void init_admission(struct rig *rig)
{
    admission_queue_init(&rig->admission.requests);
    admission_queue_init(&rig->answers);
    rig->admission.answers = &rig->answers;
    rig->admission.shard_wakers = &rig->waker;
    rig->admission.shards = 1;
    rig->admission.control_event = -1;
}

static int create_shard(struct rig *rig)
{
    const struct shard_options options = {
        .channels = {{.channel = rig->channel, .marks = rig->marks}},
        .channel_count = 1,
        .admission = &rig->admission,
        .max_subscribers = rig->options.subscribers,
        .seed = rig->options.seed,
    };

    init_admission(rig);
    return shard_create(&rig->shard, &options);
}

static int create_engine(struct rig *rig)
{
    struct engine_options options = {
        .receive_buffers = RECEIVE_BUFFERS, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES, .sends_per_turn = SENDS_PER_TURN};
    const struct tcp_options tcp = {.port = rig->port, .host = rig->host, .seed = rig->options.seed};
    const struct engine_listen_options listen = {0};
    const struct address address = {.ip = rig->host->options.addresses[0].ip, .port = SERVER_PORT};
    int error;

    shard_engine_options(rig->shard, &options);
    error = tcp_engine_create(&rig->engine, &options, &tcp);
    if (error != 0)
        return error;
    rig->tcp = tcp_engine_counters(rig->engine);
    meter_watch_engine(&rig->meter, rig->engine);
    rig->waker = engine_waker(rig->engine);
    error = shard_attach(rig->shard, rig->engine);
    return error == 0 ? engine_listen(rig->engine, &address, &listen) : error;
}

static int create_payload(struct rig *rig)
{
    struct random random;

    rig->payload = malloc(rig->options.bytes);
    if (!rig->payload)
        return -ENOMEM;
    random_seed(&random, rig->options.seed);
    for (uint32_t i = 0; i < rig->options.bytes; i++)
        rig->payload[i] = (uint8_t)random_next(&random);
    return 0;
}

int rig_create(struct rig **out, const struct rig_options *options)
{
    static int (*const CREATE[])(struct rig *) = {create_population, create_channel, create_port,   create_host,
                                                  create_shard,      create_engine,  create_payload};
    void *memory;
    int error = 0;

    if (posix_memalign(&memory, _Alignof(struct rig), sizeof(struct rig)) != 0)
        return -ENOMEM;
    struct rig *rig = memset(memory, 0, sizeof *rig);
    rig->options = *options;
    log_configure(LOG_WARN, LOG_TEXT, STDERR_FILENO);
    for (size_t i = 0; i < sizeof CREATE / sizeof *CREATE && error == 0; i++)
        error = CREATE[i](rig);
    if (error != 0) {
        rig_destroy(rig);
        return error;
    }
    *out = rig;
    return 0;
}

void rig_destroy(struct rig *rig)
{
    if (!rig)
        return;
    engine_destroy(rig->engine);
    shard_destroy(rig->shard);
    host_destroy(rig->host);
    if (rig->population)
        population_reclaim(rig->population);
    dpdk_port_destroy(rig->port);
    population_destroy(rig->population);
    channel_destroy(rig->channel);
    free(rig->marks);
    free(rig->payload);
    free(rig);
}

/* --- turns --- */

/* Admits everybody at once, as the control thread does where no limit is set. */
static void answer_admission(struct rig *rig)
{
    struct admission_request *request, *next;

    for (request = admission_queue_take(&rig->admission.requests); request; request = next) {
        next = request->next;
        if (request->kind == ADMISSION_ENTER)
            request->verdict = ADMISSION_ADMITTED;
        admission_answer(&rig->admission, request);
    }
}

/* Takes one turn, which may put the clock forward at most to `until_ns`. */
static void take_turn(struct rig *rig, uint64_t until_ns)
{
    struct meter *meter = &rig->meter;
    uint64_t packets = meter->packets;
    bool asked;

    meter_enter(meter, METER_SHARD);
    shard_turn(rig->shard, until_ns);
    meter_enter(meter, METER_ADMISSION);
    asked = !admission_queue_is_empty(&rig->admission.requests);
    if (asked)
        answer_admission(rig);
    meter_enter(meter, METER_OUTSIDE);
    if (meter->packets == packets && !asked && shard_next_deadline(rig->shard) > meter_now_ns(meter))
        meter_put_forward(meter, meter_now_ns(meter) + IDLE_NS);
}

static const struct population_figures *figures_of(const struct rig *rig)
{
    return population_figures(rig->population);
}

/* Takes turns until *figure, which only grows, is at least `wanted`. */
static void run_while_less(struct rig *rig, const uint64_t *figure, uint64_t wanted, const char *what)
{
    uint64_t seen = *figure, since_ns = meter_now_ns(&rig->meter);

    while (*figure < wanted) {
        take_turn(rig, CLOCK_NEVER);
        uint64_t now_ns = meter_now_ns(&rig->meter);
        if (*figure != seen) {
            seen = *figure;
            since_ns = now_ns;
        }
        if (now_ns - since_ns > STUCK_NS)
            errx(1, "only %lu of %lu %s after %lu s without progress", seen, wanted, what, STUCK_NS / NS_PER_S);
    }
}

/* The same, and until no answer of a client is on its way. */
static void run_until(struct rig *rig, const uint64_t *figure, uint64_t wanted, const char *what)
{
    run_while_less(rig, figure, wanted, what);
    while (population_next_arrival_ns(rig->population) != CLOCK_NEVER)
        take_turn(rig, CLOCK_NEVER);
}

void rig_connect(struct rig *rig)
{
    for (uint32_t first = 0; first < rig->options.subscribers; first += CONNECTS_AT_ONCE) {
        uint32_t left = rig->options.subscribers - first, count = left < CONNECTS_AT_ONCE ? left : CONNECTS_AT_ONCE;

        meter_enter(&rig->meter, METER_OUTSIDE);
        population_connect(rig->population, first, count);
        run_until(rig, &figures_of(rig)->open, first + count, "clients are connected");
    }
}

static void append_frame(struct rig *rig)
{
    struct channel_frame frame;
    int error;

    rig->sequence++;
    memcpy(rig->payload, &rig->sequence, rig->options.bytes < sizeof rig->sequence ? rig->options.bytes : sizeof rig->sequence);
    meter_enter(&rig->meter, METER_FRAME);
    error =
        channel_append(rig->channel, rig->sequence, FRAME_OPCODE, rig->payload, rig->options.bytes, meter_now_ns(&rig->meter));
    meter_enter(&rig->meter, METER_OUTSIDE);
    if (error != 0)
        errx(1, "the log has no room: %s", strerror(-error));
    if (rig->sequence > KEPT_FRAMES)
        channel_mark_set(rig->marks, 1, rig->sequence - KEPT_FRAMES);
    channel_frame_get(rig->channel, rig->sequence, &frame);
    population_add_frame(rig->population, frame.bytes, frame.length);
}

uint32_t rig_readers(const struct rig *rig)
{
    return rig->options.subscribers - rig->options.stalled;
}

void rig_run_round(struct rig *rig)
{
    uint64_t end_ns = meter_now_ns(&rig->meter) + rig->options.interval_ns;

    uint64_t begun = meter_working_cycles(&rig->meter);
    append_frame(rig);
    run_while_less(rig, &figures_of(rig)->frames_completed, rig->sequence * rig_readers(rig), "deliveries have arrived");
    rig->last_cycles = meter_working_cycles(&rig->meter) - begun;
    run_until(rig, &figures_of(rig)->frames_completed, rig->sequence * rig_readers(rig), "deliveries have arrived");
    while (meter_now_ns(&rig->meter) < end_ns)
        take_turn(rig, end_ns);
}

/* --- figures, and what must not happen --- */

uint64_t rig_resent(const struct rig *rig)
{
    uint64_t sum = 0;

    for (unsigned cause = 0; cause < RETRANSMIT_CAUSES; cause++)
        sum += counter_read(&rig->tcp->retransmitted[cause]);
    return sum;
}

static uint64_t disconnects(const struct rig *rig)
{
    const struct shard_counters *counters = shard_counters_get(rig->shard);
    uint64_t sum = 0;

    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        sum += counter_read(&counters->disconnects[cause]);
    return sum;
}

void rig_check(const struct rig *rig)
{
    const struct population_figures *figures = figures_of(rig);
    const struct port_counters *port = &rig->port->counters;
    uint64_t expected = rig->sequence * rig_readers(rig);

    if (population_faults(rig->population) > 0 || figures->frames_completed != expected || figures->skipped_frames > 0)
        errx(1,
             "%lu of %lu deliveries arrived, %lu left out; %lu payloads misplaced, %lu corrupt, %lu beyond a window, %lu packets "
             "unknown, %lu clients refused",
             figures->frames_completed, expected, figures->skipped_frames, figures->misplaced, figures->corrupt,
             figures->beyond_window, figures->unknown, figures->refused);
    if (figures->ended > 0 || disconnects(rig) > 0)
        errx(1, "%lu clients were disconnected", disconnects(rig));
    if (counter_read(&port->send_drops) + counter_read(&port->buffer_shortages) > 0)
        errx(1, "the port has dropped %lu packets, and found no buffers %lu times", counter_read(&port->send_drops),
             counter_read(&port->buffer_shortages));
}
