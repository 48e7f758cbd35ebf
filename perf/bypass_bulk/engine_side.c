/* The sender on the DPDK engine: keeps frames waiting for each connection, so that only TCP decides how fast it goes. */
#include "bypass_bulk/stream.h"

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_dpdk.h"
#include "flashrelay/engine_kind.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)128 << 20)
#define ENTRIES     1024
#define FRAME_BYTES ((size_t)256 << 10)
#define OPCODE      2
/* Frames that wait for the connection, beside those in flight. */
#define FRAMES_AHEAD 4

struct sender {
    struct engine_choice choice;
    struct engine *engine;
    struct channel *channel;
    struct channel_marks marks;
    struct holds holds;
    struct connection *connection; /* the newest; NULL: none */
    uint64_t offered;              /* the last frame offered */
    uint8_t payload[FRAME_BYTES];
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct sender *sender = context;

    (void)peer;
    (void)now_ns;
    if (sender->connection)
        engine_abort(sender->engine, connection);
    else
        sender->connection = connection;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct sender *sender = context;

    (void)bytes;
    (void)now_ns;
    if (length == 0)
        engine_abort(sender->engine, connection);
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)progress;
    (void)now_ns;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct sender *sender = context;

    (void)error;
    (void)now_ns;
    if (sender->connection == connection)
        sender->connection = NULL;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

static const struct engine_handler handler = {
    .accepted = on_accepted, .received = on_received, .progressed = on_progressed, .closed = on_closed, .woken = on_woken};

static void check(int error, const char *what)
{
    if (error != 0)
        errx(1, "%s: %s", what, strerror(-error));
}

static void parse_address(struct engine_dpdk_address *address, const char *text)
{
    const char *slash = strchr(text, '/');

    if (!slash || ip_address_parse(&address->ip, text, (size_t)(slash - text)) != 0)
        errx(2, "%s: expected an address with its prefix, as 198.18.0.2/24", text);
    address->prefix_bits = (uint8_t)atoi(slash + 1);
}

static void open_engine(struct sender *sender, const char *tap, const char *address, const char *port)
{
    char device[64];
    struct engine_dpdk_options dpdk = {
        .port = device, .eal = "--no-huge -m 512 --no-pci", .address_count = 1, .mtu = 1500, .offload = true};
    const struct engine_kind_options kind = {.engines = 1, .channel_bytes = ARENA_BYTES, .dpdk = &dpdk};
    const struct engine_options options = {.handler = &handler,
                                           .context = sender,
                                           .max_connections = 16,
                                           .receive_buffers = 64,
                                           .receive_buffer_bytes = 2048,
                                           .sends_per_turn = 64};
    struct channel_options log = {.name = "bulk", .arena_bytes = ARENA_BYTES, .entries = ENTRIES, .marks = &sender->marks};
    struct address listen = {.port = (uint16_t)atoi(port)};

    snprintf(device, sizeof device, "net_tap0,iface=%s", tap);
    parse_address(&dpdk.addresses[0], address);
    listen.ip = dpdk.addresses[0].ip;
    if (engine_choose(&sender->choice, "dpdk", &kind) != 0)
        errx(2, "%s", sender->choice.reason);
    if (sender->choice.kind->memory)
        log.memory = sender->choice.kind->memory(sender->choice.shared);
    channel_marks_init(&sender->marks, 1);
    check(channel_create(&sender->channel, &log), "log");
    check(holds_init(&sender->holds, ENTRIES), "holds");
    channel_reader_join(sender->channel, 0);
    check(engine_choice_create(&sender->choice, &sender->engine, &options, 0), "engine");
    if (engine_add_channel(sender->engine, sender->channel, &sender->holds) < 0)
        errx(1, "the engine takes no channel");
    check(engine_listen(sender->engine, &listen, &(struct engine_listen_options){0}), "listen");
}

static void move_mark(struct sender *sender)
{
    uint64_t lowest = holds_lowest(&sender->holds), next = channel_head(sender->channel) + 1;

    channel_mark_set(&sender->marks, 0, lowest < next ? lowest : next);
    channel_reclaim(sender->channel);
}

/* True if frames wait already, or the log has no room for more. */
static bool has_enough(const struct sender *sender)
{
    uint64_t next = engine_next_untaken(sender->connection), head = channel_head(sender->channel);

    return next != HOLDS_NONE && head + 1 - next >= FRAMES_AHEAD;
}

static void feed(struct sender *sender)
{
    while (sender->connection && !sender->connection->dead && !has_enough(sender)) {
        uint64_t sequence = channel_head(sender->channel) + 1;

        if (channel_append(sender->channel, sequence, OPCODE, sender->payload, FRAME_BYTES, 0) != 0)
            return;
        if (engine_append_frames(sender->engine, sender->connection, 0, sequence, sequence + 1) != 0)
            return;
        engine_serve(sender->engine, sender->connection);
    }
}

int stream_serve(const char *tap, const char *address, const char *port)
{
    struct sender *sender = calloc(1, sizeof *sender);

    if (!sender)
        err(1, "memory");
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    open_engine(sender, tap, address, port);
    while (!stopped) {
        feed(sender);
        engine_turn(sender->engine, engine_now(sender->engine) + 10 * NS_PER_MS);
        move_mark(sender);
    }
    engine_destroy(sender->engine);
    channel_destroy(sender->channel);
    holds_dispose(&sender->holds);
    engine_choice_close(&sender->choice);
    free(sender);
    return 0;
}
