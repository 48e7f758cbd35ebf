#include "support/mock_builder.h"

#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"
#include "support/ignored_events.h"
#include "support/ip.h"
#include "support/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the builder's connections --- */

static void flush(struct mock_session *session)
{
    struct engine *engine = session->builder->engine;

    if (session->out_length == 0 || !session->connection || session->connection->finishing ||
        !engine_has_room(session->connection))
        return;
    must(engine_append_bytes(engine, session->connection, session->out, session->out_length) == 0);
    engine_serve(engine, session->connection);
    session->out_length = 0;
}

void mock_session_queue(struct mock_session *session, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    session->out = realloc(session->out, session->out_length + length);
    memcpy(session->out + session->out_length, bytes, length);
    session->out_length += length;
    flush(session);
}

void mock_session_queue_records(struct mock_session *session)
{
    uint8_t records[4096];
    int length;

    while ((length = BIO_read(session->builder->tls->out, records, sizeof records)) > 0)
        mock_session_queue(session, records, (size_t)length);
}

void mock_session_send(struct mock_session *session, const void *bytes, size_t length)
{
    size_t written;

    if (!session->builder->tls) {
        mock_session_queue(session, bytes, length);
        return;
    }
    must(length == 0 || SSL_write_ex(session->builder->tls->ssl, bytes, length, &written));
    mock_session_queue_records(session);
}

void mock_session_send_frame(struct mock_session *session, uint8_t opcode, bool fin, const void *payload, size_t length)
{
    uint8_t header[WS_MAX_HEADER_BYTES];
    size_t header_length = ws_write_header(header, opcode, length, NULL);

    if (!fin)
        header[0] &= 0x7f;
    mock_session_send(session, header, header_length);
    mock_session_send(session, payload, length);
}

void mock_session_send_close(struct mock_session *session, uint16_t code)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    mock_session_send_frame(session, WS_CLOSE, true, payload, 2);
}

static void take_event(struct mock_session *session, const struct ws_event *event, uint64_t now_ns)
{
    switch (event->kind) {
    case WS_EVENT_PING:
        session->first_ping_ns = session->pings++ ? session->first_ping_ns : now_ns;
        session->last_ping_ns = now_ns;
        if (!session->builder->mute)
            mock_session_send_frame(session, WS_PONG, true, event->bytes, event->length);
        break;
    case WS_EVENT_PONG:
        session->pongs++;
        memcpy(session->pong, event->bytes, event->length);
        session->pong_length = event->length;
        break;
    case WS_EVENT_CLOSE:
        session->close_code = event->code;
        if (!session->builder->clinging) {
            mock_session_send_close(session, event->code == WS_CLOSE_NO_STATUS ? WS_CLOSE_NORMAL : event->code);
            engine_finish(session->builder->engine, session->connection);
        }
        break;
    default:
        must(event->kind == WS_EVENT_NONE);
    }
}

/* Answers the request to upgrade, once it is whole. */
static void take_head(struct mock_session *session, const uint8_t *bytes, size_t length)
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
        mock_session_send(session, session->builder->answer, strlen(session->builder->answer));
    } else {
        char accept[WS_ACCEPT_TEXT_BYTES], answer[256];

        ws_accept_key(http_find_header(request.headers, request.header_count, "Sec-WebSocket-Key")->value, accept);
        mock_session_send(session, answer, ws_write_upgrade_answer(answer, sizeof answer, accept));
        session->upgraded = true;
        ws_reader_init(&session->reader, WS_SERVER, 1 << 20);
    }
}

static void take_plain(struct mock_session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    if (!session->upgraded) {
        take_head(session, bytes, length);
        return;
    }
    while (length > 0 && session->close_code == 0) {
        struct ws_event event;
        size_t taken = ws_read(&session->reader, bytes, length, &event);

        take_event(session, &event, now_ns);
        bytes += taken;
        length -= taken;
    }
}

static void take_records(struct mock_session *session, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct tls_server *tls = session->builder->tls;
    uint8_t plain[4096];
    size_t got;

    must(BIO_write(tls->in, bytes, (int)length) == (int)length);
    if (!SSL_is_init_finished(tls->ssl))
        SSL_do_handshake(tls->ssl);
    while (SSL_is_init_finished(tls->ssl) && SSL_read_ex(tls->ssl, plain, sizeof plain, &got))
        take_plain(session, plain, got, now_ns);
    mock_session_queue_records(session);
}

/* --- the builder --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct mock_builder *builder = context;
    struct mock_session *session = &builder->sessions[builder->count++];

    (void)peer;
    must(builder->count < MOCK_BUILDER_SESSIONS);
    session->builder = builder;
    session->connection = connection;
    session->accepted_ns = now_ns;
    connection->owner = session;
    if (builder->tls)
        tls_server_start(builder->tls);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct mock_session *session = connection->owner;

    (void)context;
    if (length == 0)
        engine_finish(session->builder->engine, connection);
    else if (session->builder->tls)
        take_records(session, bytes, length, now_ns);
    else
        take_plain(session, bytes, length, now_ns);
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)progress;
    (void)now_ns;
    flush(connection->owner);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct mock_session *session = connection->owner;

    (void)context;
    (void)error;
    session->connection = NULL;
    session->closed_ns = now_ns;
}

void mock_builder_listen(struct mock_builder *builder)
{
    struct address address = {.ip = builder->ip, .port = MOCK_BUILDER_PORT};
    struct engine_listen_options options = {.backlog = 16};

    must(engine_listen(builder->engine, &address, &options) == 0);
}

void mock_builder_init(struct mock_builder *builder, struct sim_network *network, unsigned number, bool listening)
{
    static const struct engine_handler handler = {.accepted = on_accepted,
                                                  .received = on_received,
                                                  .progressed = on_progressed,
                                                  .closed = on_closed,
                                                  .woken = ignore_woken};
    struct engine_options options = {.handler = &handler,
                                     .context = builder,
                                     .max_connections = MOCK_BUILDER_SESSIONS,
                                     .receive_buffers = 16,
                                     .receive_buffer_bytes = 4096,
                                     .sends_per_turn = 16};
    char text[32];

    snprintf(text, sizeof text, "10.0.0.%u", number + 1);
    builder->ip = ip_of(text);
    must(engine_sim_create(&builder->engine, &options, network, &builder->ip) == 0);
    if (listening)
        mock_builder_listen(builder);
}

void mock_builder_dispose(struct mock_builder *builder)
{
    engine_destroy(builder->engine);
    for (unsigned i = 0; i < builder->count; i++)
        free(builder->sessions[i].out);
}

struct mock_session *mock_builder_session(struct mock_builder *builder)
{
    struct mock_session *session = builder->count > 0 ? &builder->sessions[builder->count - 1] : NULL;

    return session && session->upgraded && session->connection && !session->connection->finishing ? session : NULL;
}

void mock_builder_send(struct mock_builder *builder, uint8_t opcode, const void *payload, size_t length)
{
    struct mock_session *session = mock_builder_session(builder);

    must(session != NULL);
    mock_session_send_frame(session, opcode, true, payload, length);
}

void mock_builder_send_text(struct mock_builder *builder, const char *text)
{
    mock_builder_send(builder, WS_TEXT, text, strlen(text));
}

void mock_builder_abort(struct mock_builder *builder)
{
    engine_abort(builder->engine, mock_builder_session(builder)->connection);
}
