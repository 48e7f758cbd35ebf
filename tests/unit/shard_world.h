/* A shard and its subscribers on the simulated network: what the tests of the shard are written in. */
#ifndef TESTS_UNIT_SHARD_WORLD_H
#define TESTS_UNIT_SHARD_WORLD_H

#include "flashrelay/clock.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORLD_PORT = 8545, WORLD_CLIENTS = 2048, WORLD_ENTRIES = 1024, WORLD_WINDOW_BYTES = 16384 };

#define WORLD_UPGRADE                                                                           \
    "Host: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* A subscriber's own side: what it was sent, as its WebSocket library would see it. */
struct client {
    struct connection *connection;
    bool connected, closed, ended; /* `ended`: the relay's FIN came */
    int close_error;
    char head[1024]; /* the answer to its request; all that came, if that was no upgrade */
    size_t head_bytes;
    bool upgraded;
    struct ws_reader reader;
    uint64_t messages, message_bytes; /* data messages, and bytes of the current one */
    uint64_t bad_bytes;               /* that differ from what was published */
    uint64_t first_sequence;          /* of the first message it got */
    unsigned firsts;                  /* messages that it had before everybody else */
    unsigned pings, pongs;
    uint64_t messages_before_pong; /* the last one */
    char last_pong[WS_MAX_CONTROL_BYTES + 1];
    uint16_t close_code; /* 0: no close frame came */
    char close_reason[WS_MAX_CONTROL_BYTES];
};

struct world {
    struct sim_network *network;
    struct channel_marks *marks;
    struct channel *channel;
    struct shard *shard;
    struct engine *engine; /* the shard's */
    struct waker *waker;
    struct engine *outside; /* the clients' */
    struct admission admission;
    struct admission_queue answers;
    bool admission_is_silent;
    enum admission_verdict verdict;
    int places; /* entered less left */
    struct ip_address last_ip;
    uint16_t last_app;
    uint64_t sequence;
    uint64_t first_had;   /* newest message that anybody has */
    uint32_t sizes[4096]; /* payload bytes, by sequence */
    struct client clients[WORLD_CLIENTS];
    unsigned client_count;
};

static inline uint8_t world_byte(uint64_t sequence, uint64_t offset)
{
    return (uint8_t)(sequence * 31 + offset * 7);
}

/* --- the clients' side --- */

static inline void client_note_data(struct world *world, struct client *client, const struct ws_event *event)
{
    uint64_t sequence;

    sequence = client->first_sequence + client->messages;
    assert_int_equal(event->opcode, WS_BINARY);
    for (size_t i = 0; i < event->length; i++)
        client->bad_bytes += event->bytes[i] != world_byte(sequence, client->message_bytes + i);
    client->message_bytes += event->length;
    if (!event->last)
        return;
    assert_int_equal(client->message_bytes, world->sizes[sequence]);
    client->messages++;
    client->message_bytes = 0;
    if (sequence > world->first_had) {
        world->first_had = sequence;
        client->firsts++;
    }
}

static inline void client_note(struct world *world, struct client *client, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        client_note_data(world, client, event);
        break;
    case WS_EVENT_PING:
        client->pings++;
        break;
    case WS_EVENT_PONG:
        client->pongs++;
        client->messages_before_pong = client->messages;
        memcpy(client->last_pong, event->bytes, event->length);
        client->last_pong[event->length] = '\0';
        break;
    case WS_EVENT_CLOSE:
        client->close_code = event->code;
        memcpy(client->close_reason, event->bytes, event->length);
        client->close_reason[event->length] = '\0';
        break;
    case WS_EVENT_ERROR:
        fail_msg("the relay breaks the protocol: %s", event->reason);
    }
}

static inline void client_read_frames(struct world *world, struct client *client, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        struct ws_event event;
        size_t taken = ws_read(&client->reader, bytes, length, &event);

        client_note(world, client, &event);
        bytes += taken;
        length -= taken;
    }
}

static inline size_t client_read_head(struct client *client, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    while (taken < length && !client->upgraded) {
        assert_true(client->head_bytes < sizeof client->head - 1);
        client->head[client->head_bytes++] = (char)bytes[taken++];
        client->upgraded = client->head_bytes > 12 && memcmp(client->head, "HTTP/1.1 101", 12) == 0 &&
                           memcmp(client->head + client->head_bytes - 4, "\r\n\r\n", 4) == 0;
    }
    return taken;
}

static inline size_t world_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct world *world = context;
    struct client *client = connection->owner;
    size_t taken;

    (void)now_ns;
    if (length == 0) {
        client->ended = true;
        engine_finish(world->outside, connection);
        return 0;
    }
    taken = client_read_head(client, bytes, length);
    client_read_frames(world, client, bytes + taken, length - taken);
    return length;
}

static inline void world_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct client *client = connection->owner;

    (void)context;
    (void)now_ns;
    assert_int_equal(error, 0);
    client->connected = true;
}

static inline void world_progressed(void *context, struct connection *connection, const struct engine_progress *progress,
                                    uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)progress;
    (void)now_ns;
}

static inline void world_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct client *client = connection->owner;

    (void)context;
    (void)now_ns;
    client->closed = true;
    client->close_error = error;
    client->connection = NULL;
}

static inline void world_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

static const struct engine_handler world_handler = {
    .connected = world_connected,
    .received = world_received,
    .progressed = world_progressed,
    .closed = world_closed,
    .woken = world_woken,
};

/* --- making and ending a world --- */

static inline struct ip_address world_ip(const char *text)
{
    struct ip_address ip;

    assert_int_equal(ip_address_parse(&ip, text, strlen(text)), 0);
    return ip;
}

static inline void world_create_outside(struct world *world)
{
    struct ip_address ip = world_ip("10.0.0.2");
    const struct engine_options options = {.handler = &world_handler,
                                           .context = world,
                                           .max_connections = WORLD_CLIENTS,
                                           .receive_buffers = 16,
                                           .receive_buffer_bytes = 4096,
                                           .sends_per_turn = 256};

    assert_int_equal(engine_sim_create(&world->outside, &options, world->network, &ip), 0);
}

static inline void world_create_channel(struct world *world, size_t arena_bytes)
{
    struct channel_options options = {.name = "test", .arena_bytes = arena_bytes, .entries = WORLD_ENTRIES};

    world->marks = aligned_alloc(_Alignof(struct channel_marks), sizeof *world->marks);
    channel_marks_init(world->marks, 1);
    options.marks = world->marks;
    assert_int_equal(channel_create(&world->channel, &options), 0);
}

static inline void world_create_shard(struct world *world, struct shard_options options, uint32_t sends_per_turn)
{
    struct engine_options engine_options = {
        .receive_buffers = 16, .receive_buffer_bytes = 2048, .sends_per_turn = sends_per_turn};
    const struct engine_listen_options listen = {.backlog = WORLD_CLIENTS};
    struct ip_address ip = world_ip("10.0.0.1");
    struct address address = {.ip = ip, .port = WORLD_PORT};

    options.channel = world->channel;
    options.marks = world->marks;
    if (options.max_subscribers == 0)
        options.max_subscribers = WORLD_CLIENTS;
    assert_int_equal(shard_create(&world->shard, &options), 0);
    shard_engine_options(world->shard, &engine_options);
    assert_int_equal(engine_sim_create(&world->engine, &engine_options, world->network, &ip), 0);
    world->waker = engine_waker(world->engine);
    shard_attach(world->shard, world->engine);
    assert_int_equal(engine_listen(world->engine, &address, &listen), 0);
}

/* What a test asks of its world, beside the shard's options. */
struct world_options {
    struct shard_options shard;
    bool with_admission;
    size_t arena_bytes; /* 0: 1 MiB */
    uint32_t window_bytes, sends_per_turn;
    bool jitter;
    uint32_t short_send_permille, late_send_permille, zerocopy_permille;
};

static inline struct world *world_open(struct world_options options)
{
    struct world *world = calloc(1, sizeof *world);
    const struct sim_network_options network = {
        .seed = 7,
        .delay_min_ns = NS_PER_MS / 10,
        .delay_max_ns = options.jitter ? NS_PER_MS / 5 : NS_PER_MS / 10,
        .segment_max_bytes = 1460,
        .window_bytes = options.window_bytes ? options.window_bytes : WORLD_WINDOW_BYTES,
        .short_send_permille = options.short_send_permille,
        .late_send_permille = options.late_send_permille,
        .zerocopy_permille = options.zerocopy_permille,
    };

    assert_int_equal(sim_network_create(&world->network, &network), 0);
    world_create_outside(world);
    world_create_channel(world, options.arena_bytes ? options.arena_bytes : 1 << 20);
    admission_queue_init(&world->admission.requests);
    admission_queue_init(&world->answers);
    world->admission.answers = &world->answers;
    world->admission.shard_wakers = &world->waker;
    world->admission.shards = 1;
    world->admission.control_event = -1;
    if (options.with_admission)
        options.shard.admission = &world->admission;
    world_create_shard(world, options.shard, options.sends_per_turn ? options.sends_per_turn : 256);
    return world;
}

static inline void world_close(struct world *world)
{
    engine_destroy(world->engine);
    shard_destroy(world->shard);
    engine_destroy(world->outside);
    sim_network_destroy(world->network);
    channel_destroy(world->channel);
    free(world->marks);
    free(world);
}

/* --- letting time pass --- */

static inline void world_control(struct world *world)
{
    struct admission_request *request, *next;

    if (world->admission_is_silent)
        return;
    for (request = admission_queue_take(&world->admission.requests); request; request = next) {
        next = request->next;
        world->last_ip = request->ip;
        world->last_app = request->app;
        if (request->kind == ADMISSION_ENTER)
            request->verdict = (uint8_t)world->verdict;
        if (request->kind == ADMISSION_LEAVE)
            world->places--;
        else
            world->places += world->verdict == ADMISSION_ADMITTED;
        admission_answer(&world->admission, request);
    }
}

/* Everything that is due now. */
static inline void world_settle(struct world *world)
{
    do {
        shard_turn(world->shard, 0);
        engine_turn(world->outside, 0);
        world_control(world);
    } while (engine_sim_is_due(world->engine) || engine_sim_is_due(world->outside) ||
             shard_next_deadline(world->shard) <= sim_network_now(world->network));
}

/* Lets `duration_ns` pass. */
static inline void world_run(struct world *world, uint64_t duration_ns)
{
    uint64_t end_ns = sim_network_now(world->network) + duration_ns;

    for (;;) {
        uint64_t next_ns, shard_ns;

        world_settle(world);
        next_ns = sim_network_next_event(world->network);
        shard_ns = shard_next_deadline(world->shard);
        next_ns = shard_ns < next_ns ? shard_ns : next_ns;
        if (next_ns > end_ns)
            break;
        sim_network_advance(world->network, next_ns);
    }
    sim_network_advance(world->network, end_ns);
    world_settle(world);
}

/* --- what happens in it --- */

static inline const struct shard_counters *world_counters(const struct world *world)
{
    return shard_counters_get(world->shard);
}

static inline uint64_t world_disconnects(const struct world *world, enum disconnect_cause cause)
{
    return counter_read(&world_counters(world)->disconnects[cause]);
}

static inline int world_try_publish(struct world *world, uint32_t size)
{
    uint8_t *payload = malloc(size + 1);
    int error;

    for (uint32_t i = 0; i < size; i++)
        payload[i] = world_byte(world->sequence + 1, i);
    error = channel_append(world->channel, world->sequence + 1, WS_BINARY, payload, size, sim_network_now(world->network));
    free(payload);
    if (error == 0)
        world->sizes[++world->sequence] = size;
    return error;
}

static inline void world_publish(struct world *world, uint32_t size)
{
    assert_int_equal(world_try_publish(world, size), 0);
}

static inline void client_say(struct world *world, struct client *client, const void *bytes, size_t length)
{
    assert_int_equal(engine_append_bytes(world->outside, client->connection, bytes, length), 0);
    engine_serve(world->outside, client->connection);
}

/* A masked frame. */
static inline void client_say_frame(struct world *world, struct client *client, uint8_t opcode, const void *payload,
                                    size_t length)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t *frame = malloc(WS_MAX_HEADER_BYTES + length);
    size_t header = ws_write_header(frame, opcode, length, mask);

    if (length > 0)
        memcpy(frame + header, payload, length);
    ws_mask(frame + header, length, mask, 0);
    client_say(world, client, frame, header + length);
    free(frame);
}

static inline struct client *client_dial(struct world *world)
{
    struct address address = {.ip = world_ip("10.0.0.1"), .port = WORLD_PORT};
    struct client *client = &world->clients[world->client_count++];

    assert_true(world->client_count <= WORLD_CLIENTS);
    ws_reader_init(&client->reader, WS_CLIENT, UINT32_MAX);
    client->connection = engine_connect(world->outside, &address, client);
    assert_non_null(client->connection);
    return client;
}

/* Connects and sends `request`; if that subscribes it is to receive what is published from now on. */
static inline struct client *client_request(struct world *world, const char *request)
{
    struct client *client = client_dial(world);

    world_run(world, NS_PER_MS);
    client_say(world, client, request, strlen(request));
    world_run(world, NS_PER_MS);
    client->first_sequence = world->sequence + 1;
    return client;
}

static inline struct client *client_subscribe(struct world *world)
{
    struct client *client = client_request(world, "GET /ws HTTP/1.1\r\n" WORLD_UPGRADE);

    for (unsigned i = 0; i < 100 && !client->upgraded; i++)
        world_run(world, NS_PER_MS);
    assert_true(client->upgraded);
    return client;
}

/* True if the answer has this status, and this text somewhere. */
static inline bool client_was_answered(const struct client *client, int status, const char *text)
{
    char line[32];

    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    return strncmp(client->head, line, strlen(line)) == 0 && strstr(client->head, text);
}

#endif
