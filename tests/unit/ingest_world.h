/* For tests: an ingest on the simulated network, builders that misbehave when told, a reader that lets go of the log or not. */
#ifndef TESTS_UNIT_INGEST_WORLD_H
#define TESTS_UNIT_INGEST_WORLD_H

#include "flashrelay/channel.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/http.h"
#include "flashrelay/ingest.h"
#include "flashrelay/ws.h"
#include "flashrelay/ws_upgrade.h"
#include "flashrelay/ws_uri.h"
#include "support/must.h"
#include "support/tls_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORLD_BUILDERS = 4, WORLD_SESSIONS = 64, WORLD_PORT = 1111 };

struct builder;

/* One connection at a builder, from its side. */
struct session {
    struct builder *builder;
    struct connection *connection; /* NULL: gone */
    char head[1024];
    size_t head_length;
    bool upgraded;
    struct ws_reader reader;
    uint8_t *out; /* what is to be sent and did not fit the connection's extents yet */
    size_t out_length;
    unsigned pings, pongs;
    uint64_t first_ping_ns, last_ping_ns;
    uint8_t pong[WS_MAX_CONTROL_BYTES];
    size_t pong_length;
    uint16_t close_code; /* of the relay's close frame, 0 before it */
    uint64_t accepted_ns, closed_ns;
};

struct builder {
    struct engine *engine;
    struct ip_address ip;
    struct session sessions[WORLD_SESSIONS];
    unsigned count;
    bool silent;        /* never answers the request to upgrade */
    bool mute;          /* never answers pings */
    bool clinging;      /* never answers a close */
    const char *answer; /* instead of the 101 */
    struct tls_server *tls;
};

struct published {
    uint8_t *bytes;
    size_t length;
};

struct world_options {
    unsigned builders;
    const char *uris[WORLD_BUILDERS]; /* NULL: ws:// of the builder */
    struct ingest_options ingest;     /* what is 0 becomes the relay's default */
    size_t arena_bytes;               /* 0: 1 MiB */
    struct sim_network_options network;
    bool listeners_missing; /* the builders' ports are closed; world_listen opens them */
};

struct world {
    struct sim_network *network;
    struct channel_marks marks;
    struct channel *channel;
    struct engine *engine;
    struct ingest *ingest;
    struct ws_uri uris[WORLD_BUILDERS];
    struct builder builders[WORLD_BUILDERS];
    unsigned builder_count;
    bool log_held;      /* the reader does not let go */
    uint64_t read_next; /* sequence number that it reads next */
    struct published *published;
    size_t published_count;
};

/* --- builders --- */

static inline void session_flush(struct session *session)
{
    struct engine *engine = session->builder->engine;

    if (session->out_length == 0 || !session->connection || session->connection->finishing ||
        session->connection->extent_count == CONNECTION_EXTENTS)
        return;
    must(engine_append_bytes(engine, session->connection, session->out, session->out_length) == 0);
    engine_serve(engine, session->connection);
    session->out_length = 0;
}

static inline void session_queue(struct session *session, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    session->out = realloc(session->out, session->out_length + length);
    memcpy(session->out + session->out_length, bytes, length);
    session->out_length += length;
    session_flush(session);
}

static inline void session_queue_records(struct session *session)
{
    uint8_t records[4096];
    int length;

    while ((length = BIO_read(session->builder->tls->out, records, sizeof records)) > 0)
        session_queue(session, records, (size_t)length);
}

/* Sends bytes as they are, through TLS if there is any. */
static inline void session_send(struct session *session, const void *bytes, size_t length)
{
    size_t written;

    if (!session->builder->tls) {
        session_queue(session, bytes, length);
        return;
    }
    must(length == 0 || SSL_write_ex(session->builder->tls->ssl, bytes, length, &written));
    session_queue_records(session);
}

static inline void session_send_frame(struct session *session, uint8_t opcode, bool fin, const void *payload, size_t length)
{
    uint8_t header[WS_MAX_HEADER_BYTES];
    size_t header_length = ws_write_header(header, opcode, length, NULL);

    if (!fin)
        header[0] &= 0x7f;
    session_send(session, header, header_length);
    session_send(session, payload, length);
}

static inline void session_send_close(struct session *session, uint16_t code)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    session_send_frame(session, WS_CLOSE, true, payload, 2);
}

static inline void session_take_event(struct session *session, const struct ws_event *event, uint64_t now_ns)
{
    switch (event->kind) {
    case WS_EVENT_PING:
        session->first_ping_ns = session->pings++ ? session->first_ping_ns : now_ns;
        session->last_ping_ns = now_ns;
        if (!session->builder->mute)
            session_send_frame(session, WS_PONG, true, event->bytes, event->length);
        break;
    case WS_EVENT_PONG:
        session->pongs++;
        memcpy(session->pong, event->bytes, event->length);
        session->pong_length = event->length;
        break;
    case WS_EVENT_CLOSE:
        session->close_code = event->code;
        if (!session->builder->clinging) {
            session_send_close(session, event->code == WS_CLOSE_NO_STATUS ? WS_CLOSE_NORMAL : event->code);
            engine_finish(session->builder->engine, session->connection);
        }
        break;
    default:
        must(event->kind == WS_EVENT_NONE);
    }
}

/* Answers the request to upgrade, once it is whole. */
static inline void session_take_head(struct session *session, const uint8_t *bytes, size_t length)
{
    struct http_request request;
    const char *error;
    size_t consumed;

    must(length < sizeof session->head - session->head_length);
    memcpy(session->head + session->head_length, bytes, length);
    session->head_length += length;
    if (http_request_parse(&request, session->head, session->head_length, &consumed, &error) != HTTP_PARSE_DONE)
        return;
    must(consumed == session->head_length && ws_upgrade_check(&request) == WS_UPGRADE_OK);
    if (session->builder->silent)
        return;
    if (session->builder->answer) {
        session_send(session, session->builder->answer, strlen(session->builder->answer));
    } else {
        char accept[WS_ACCEPT_TEXT_BYTES], answer[256];

        ws_accept_key(http_find_header(request.headers, request.header_count, "Sec-WebSocket-Key")->value, accept);
        session_send(session, answer, ws_write_upgrade_answer(answer, sizeof answer, accept));
        session->upgraded = true;
        ws_reader_init(&session->reader, WS_SERVER, 1 << 20);
    }
}

static inline void session_take_plain(struct session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    if (!session->upgraded) {
        session_take_head(session, bytes, length);
        return;
    }
    while (length > 0 && session->close_code == 0) {
        struct ws_event event;
        size_t taken = ws_read(&session->reader, bytes, length, &event);

        session_take_event(session, &event, now_ns);
        bytes += taken;
        length -= taken;
    }
}

static inline void session_take_records(struct session *session, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct tls_server *tls = session->builder->tls;
    uint8_t plain[4096];
    size_t got;

    must(BIO_write(tls->in, bytes, (int)length) == (int)length);
    if (!SSL_is_init_finished(tls->ssl))
        SSL_do_handshake(tls->ssl);
    while (SSL_is_init_finished(tls->ssl) && SSL_read_ex(tls->ssl, plain, sizeof plain, &got))
        session_take_plain(session, plain, got, now_ns);
    session_queue_records(session);
}

static inline void builder_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct builder *builder = context;
    struct session *session = &builder->sessions[builder->count++];

    (void)peer;
    must(builder->count < WORLD_SESSIONS);
    session->builder = builder;
    session->connection = connection;
    session->accepted_ns = now_ns;
    connection->owner = session;
    if (builder->tls)
        tls_server_start(builder->tls);
}

static inline size_t builder_received(void *context, struct connection *connection, uint8_t *bytes, size_t length,
                                      uint64_t now_ns)
{
    struct session *session = connection->owner;

    (void)context;
    if (length == 0)
        engine_finish(session->builder->engine, connection);
    else if (session->builder->tls)
        session_take_records(session, bytes, length, now_ns);
    else
        session_take_plain(session, bytes, length, now_ns);
    return length;
}

static inline void builder_progressed(void *context, struct connection *connection, const struct engine_progress *progress,
                                      uint64_t now_ns)
{
    (void)context;
    (void)progress;
    (void)now_ns;
    session_flush(connection->owner);
}

static inline void builder_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct session *session = connection->owner;

    (void)context;
    (void)error;
    session->connection = NULL;
    session->closed_ns = now_ns;
}

static inline void builder_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

static inline void builder_listen(struct builder *builder)
{
    struct address address = {.ip = builder->ip, .port = WORLD_PORT};
    struct engine_listen_options options = {.backlog = 16};

    must(engine_listen(builder->engine, &address, &options) == 0);
}

static inline void builder_open(struct builder *builder, struct sim_network *network, unsigned number, bool listening)
{
    static const struct engine_handler handler = {.accepted = builder_accepted,
                                                  .received = builder_received,
                                                  .progressed = builder_progressed,
                                                  .closed = builder_closed,
                                                  .woken = builder_woken};
    struct engine_options options = {.handler = &handler,
                                     .context = builder,
                                     .max_connections = WORLD_SESSIONS,
                                     .receive_buffers = 16,
                                     .receive_buffer_bytes = 4096,
                                     .sends_per_turn = 16};
    char text[32];

    snprintf(text, sizeof text, "10.0.0.%u", number + 1);
    must(ip_address_parse(&builder->ip, text, strlen(text)) == 0);
    must(engine_sim_create(&builder->engine, &options, network, &builder->ip) == 0);
    if (listening)
        builder_listen(builder);
}

/* The newest connection, or NULL if there is none that was upgraded and lives. */
static inline struct session *builder_session(struct builder *builder)
{
    struct session *session = builder->count > 0 ? &builder->sessions[builder->count - 1] : NULL;

    return session && session->upgraded && session->connection && !session->connection->finishing ? session : NULL;
}

static inline void builder_send(struct builder *builder, uint8_t opcode, const void *payload, size_t length)
{
    struct session *session = builder_session(builder);

    must(session != NULL);
    session_send_frame(session, opcode, true, payload, length);
}

static inline void builder_send_text(struct builder *builder, const char *text)
{
    builder_send(builder, WS_TEXT, text, strlen(text));
}

static inline void builder_abort(struct builder *builder)
{
    engine_abort(builder->engine, builder_session(builder)->connection);
}

/* --- the world --- */

static inline void world_set_default(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static inline struct ingest_options world_ingest_options(struct world *world, const struct world_options *options)
{
    struct ingest_options ingest = options->ingest;

    ingest.upstreams = world->uris;
    ingest.upstream_count = options->builders;
    ingest.channel = world->channel;
    world_set_default(&ingest.max_message_bytes, 64 << 10);
    world_set_default(&ingest.max_backoff_ns, 20 * NS_PER_S);
    world_set_default(&ingest.ping_interval_ns, 2 * NS_PER_S);
    world_set_default(&ingest.pong_timeout_ns, 4 * NS_PER_S);
    return ingest;
}

static inline void world_open_channel(struct world *world, const struct world_options *options)
{
    struct channel_options channel = {.name = "test",
                                      .arena_bytes = options->arena_bytes ? options->arena_bytes : 1 << 20,
                                      .entries = 4096,
                                      .marks = &world->marks};

    channel_marks_init(&world->marks, 1);
    must(channel_create(&world->channel, &channel) == 0);
    world->read_next = channel_reader_join(world->channel, 0);
}

static inline void world_open_network(struct world *world, const struct world_options *options)
{
    struct sim_network_options network = options->network;

    world_set_default(&network.delay_max_ns, NS_PER_MS);
    if (network.segment_max_bytes == 0)
        network.segment_max_bytes = 1400;
    if (network.window_bytes == 0)
        network.window_bytes = 32 << 10;
    must(sim_network_create(&world->network, &network) == 0);
    world->builder_count = options->builders;
    for (unsigned i = 0; i < options->builders; i++)
        builder_open(&world->builders[i], world->network, i, !options->listeners_missing);
}

/* NULL where the ingest refuses its options. */
static inline struct world *world_open(const struct world_options *options)
{
    struct world *world = aligned_alloc(_Alignof(struct world), sizeof *world);
    struct engine_options engine = {.max_connections = 0};
    struct ingest_options ingest;
    struct ip_address ip;
    const char *error;

    memset(world, 0, sizeof *world);
    world_open_channel(world, options);
    world_open_network(world, options);
    for (unsigned i = 0; i < options->builders; i++) {
        char text[64];

        snprintf(text, sizeof text, "ws://10.0.0.%u:%d", i + 1, WORLD_PORT);
        must(ws_uri_parse(&world->uris[i], options->uris[i] ? options->uris[i] : text, &error) == 0);
    }
    ingest = world_ingest_options(world, options);
    must(ingest_create(&world->ingest, &ingest) == 0);
    ingest_engine_options(world->ingest, &engine);
    must(ip_address_parse(&ip, "10.0.1.1", 8) == 0);
    must(engine_sim_create(&world->engine, &engine, world->network, &ip) == 0);
    ingest_attach(world->ingest, world->engine);
    return world;
}

static inline void world_close(struct world *world)
{
    engine_destroy(world->engine);
    ingest_destroy(world->ingest);
    for (unsigned i = 0; i < world->builder_count; i++) {
        engine_destroy(world->builders[i].engine);
        for (unsigned j = 0; j < world->builders[i].count; j++)
            free(world->builders[i].sessions[j].out);
        ws_uri_dispose(&world->uris[i]);
    }
    sim_network_destroy(world->network);
    channel_destroy(world->channel);
    for (size_t i = 0; i < world->published_count; i++)
        free(world->published[i].bytes);
    free(world->published);
    free(world);
}

static inline void world_keep(struct world *world, const struct channel_frame *frame)
{
    struct published *published;

    world->published = realloc(world->published, (world->published_count + 1) * sizeof *world->published);
    published = &world->published[world->published_count++];
    published->length = frame->length - frame->header_length;
    published->bytes = malloc(published->length + 1);
    memcpy(published->bytes, frame->bytes + frame->header_length, published->length);
    published->bytes[published->length] = 0;
    must(frame->bytes[0] == (0x80 | WS_BINARY));
}

/* What a shard does: reads what is new, and lets go of it. */
static inline void world_read_log(struct world *world)
{
    if (world->log_held)
        return;
    for (; world->read_next <= channel_head(world->channel); world->read_next++) {
        struct channel_frame frame;

        channel_frame_get(world->channel, world->read_next, &frame);
        world_keep(world, &frame);
    }
    channel_mark_set(&world->marks, 0, world->read_next);
    if (channel_is_waiting(world->channel))
        waker_wake(engine_waker(world->engine), NULL);
}

/* One turn of everybody who has something to do; false if nobody had. */
static inline bool world_turn(struct world *world)
{
    bool busy = !waker_is_sleeping(engine_waker(world->engine)) || engine_sim_is_due(world->engine) ||
                sim_network_now(world->network) >= ingest_next_deadline(world->ingest);

    if (busy)
        ingest_turn(world->ingest, CLOCK_NEVER);
    for (unsigned i = 0; i < world->builder_count; i++)
        if (engine_sim_is_due(world->builders[i].engine)) {
            engine_turn(world->builders[i].engine, 0);
            busy = true;
        }
    world_read_log(world);
    return busy;
}

/* Lets `ns` pass. */
static inline void world_run(struct world *world, uint64_t ns)
{
    uint64_t end = sim_network_now(world->network) + ns;

    for (;;) {
        uint64_t next, deadline;

        if (world_turn(world))
            continue;
        next = sim_network_next_event(world->network);
        deadline = ingest_next_deadline(world->ingest);
        next = deadline < next ? deadline : next;
        if (next > end)
            break;
        sim_network_advance(world->network, next);
    }
    sim_network_advance(world->network, end);
}

static inline const struct upstream_counters *world_counters(const struct world *world, unsigned builder)
{
    return ingest_upstream_counters(world->ingest, builder);
}

#endif
