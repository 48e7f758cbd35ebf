#include "session.h"

#include "flashrelay/clock.h"
#include "flashrelay/ws_upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDSHAKE_NS (10 * NS_PER_S)
#define END_NS       (2 * NS_PER_S)

static void end(struct echo_session *session, uint64_t now_ns)
{
    session->state = ECHO_SESSION_ENDING;
    session->deadline_ns = now_ns + END_NS;
    engine_finish(session->echo->engine, session->connection);
}

/* --- sending --- */

static bool send_bytes(struct echo_session *session, const void *bytes, size_t length)
{
    struct engine *engine = session->echo->engine;

    if (engine_append_bytes(engine, session->connection, bytes, length) != 0)
        return false;
    engine_serve(engine, session->connection);
    return true;
}

static bool is_client(const struct echo_session *session)
{
    return session->echo->client.uri;
}

/* A client's frames are masked, each with a mask of its own, so they can't be sent from a channel. */
static bool send_masked(struct echo_session *session, const struct reply *reply)
{
    uint8_t *frame = malloc(WS_MAX_HEADER_BYTES + reply->length);
    bool sent;

    if (!frame)
        return false;
    sent =
        send_bytes(session, frame, ws_client_write_message(&session->client, frame, reply->opcode, reply->bytes, reply->length));
    free(frame);
    return sent;
}

/* Hands over frames that found no extent; true if there are none left. A client has no outlet. */
static bool send_leftovers(struct echo_session *session)
{
    return !session->outlet || outlet_flush(session->outlet, session->echo->engine, session->connection);
}

static bool try_send(struct echo_session *session, const struct reply *reply)
{
    if (reply->opcode >= WS_CLOSE)
        return send_leftovers(session) && send_bytes(session, reply->bytes, reply->length);
    if (is_client(session))
        return send_masked(session, reply);
    return outlet_send(session->outlet, session->echo->engine, session->connection, reply->opcode, reply->bytes, reply->length);
}

/* Sends a reply, or keeps it until there is room; true if it was sent. The bytes that it points to must stay valid until then. */
static bool send_reply(struct echo_session *session, struct reply reply, uint64_t now_ns)
{
    session->reply = reply;
    session->reply.waiting = !try_send(session, &reply);
    if (session->reply.waiting)
        return false;
    if (reply.opcode == WS_CLOSE)
        end(session, now_ns);
    else if (reply.opcode != WS_PONG)
        session->message_bytes = 0;
    return true;
}

static void send_pong(struct echo_session *session, const struct ws_event *ping, uint64_t now_ns)
{
    struct reply pong = {.opcode = WS_PONG, .bytes = session->control};

    if (is_client(session))
        pong.length = ws_client_write_control(&session->client, session->control, WS_PONG, ping->bytes, ping->length);
    else
        pong.length = ws_write_control(session->control, WS_PONG, ping->bytes, ping->length, NULL);
    send_reply(session, pong, now_ns);
}

void echo_session_close(struct echo_session *session, uint16_t code, uint64_t now_ns)
{
    struct reply close = {.opcode = WS_CLOSE, .bytes = session->control};

    if (session->state != ECHO_SESSION_OPEN || session->is_closing)
        return;
    session->is_closing = true;
    session->deadline_ns = now_ns + END_NS;
    close.length = is_client(session) ? ws_client_write_close(&session->client, session->control, code, NULL)
                                      : ws_write_close(session->control, code, NULL, NULL);
    send_reply(session, close, now_ns);
}

/* --- messages --- */

static bool keep(struct echo_session *session, const uint8_t *bytes, size_t length)
{
    size_t needed = session->message_bytes + length;

    if (needed > session->message_capacity) {
        size_t capacity = needed < 4096 ? 4096 : 2 * needed;
        uint8_t *message = realloc(session->message, capacity);

        if (!message)
            return false;
        session->message = message;
        session->message_capacity = capacity;
    }
    if (length > 0)
        memcpy(session->message + session->message_bytes, bytes, length);
    session->message_bytes = needed;
    return true;
}

static void take_data(struct echo_session *session, const struct ws_event *event, uint64_t now_ns)
{
    if (!keep(session, event->bytes, event->length))
        echo_session_close(session, WS_CLOSE_INTERNAL_ERROR, now_ns);
    else if (event->last)
        send_reply(session, (struct reply){.opcode = event->opcode, .bytes = session->message, .length = session->message_bytes},
                   now_ns);
}

static void take_event(struct echo_session *session, const struct ws_event *event, uint64_t now_ns)
{
    switch (event->kind) {
    case WS_EVENT_DATA:
        take_data(session, event, now_ns);
        break;
    case WS_EVENT_PING:
        send_pong(session, event, now_ns);
        break;
    case WS_EVENT_CLOSE:
    case WS_EVENT_ERROR:
        echo_session_close(session, event->code, now_ns);
        break;
    case WS_EVENT_PONG:
    case WS_EVENT_NONE:
        break;
    }
}

static size_t read_event(struct echo_session *session, uint8_t *bytes, size_t length, struct ws_event *event)
{
    return is_client(session) ? ws_client_read(&session->client, bytes, length, event)
                              : ws_read(&session->reader, bytes, length, event);
}

static size_t take_frames(struct echo_session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    size_t taken = 0;

    while (taken < length && session->state == ECHO_SESSION_OPEN && !session->reply.waiting) {
        struct ws_event event;

        taken += read_event(session, bytes + taken, length - taken, &event);
        take_event(session, &event, now_ns);
    }
    return session->state == ECHO_SESSION_ENDING ? length : taken;
}

/* --- the handshake --- */

static void begin(struct echo_session *session)
{
    session->state = ECHO_SESSION_OPEN;
    session->deadline_ns = CLOCK_NEVER;
    session->echo->upgraded = true;
}

static void refuse(struct echo_session *session, int status, uint64_t now_ns)
{
    char text[512];
    struct http_answer answer = {.status = status};

    if (status == 426)
        answer.extra_headers = "Sec-WebSocket-Version: 13\r\n";
    send_bytes(session, text, (size_t)http_write_answer(text, sizeof text, &answer));
    end(session, now_ns);
}

static void answer_request(struct echo_session *session, const struct http_request *request, uint64_t now_ns)
{
    char accept[WS_ACCEPT_TEXT_BYTES], text[CONTROL_RUN_BYTES];
    enum ws_upgrade_check check = ws_upgrade_check(request);

    if (check != WS_UPGRADE_OK) {
        refuse(session, check == WS_UPGRADE_BAD_METHOD ? 405 : check == WS_UPGRADE_BAD_VERSION ? 426 : 400, now_ns);
        return;
    }
    ws_accept_key(http_find_header(request->headers, request->header_count, "Sec-WebSocket-Key")->value, accept);
    send_bytes(session, text, ws_write_upgrade_answer(text, sizeof text, accept));
    ws_reader_init(&session->reader, WS_SERVER, ECHO_MAX_MESSAGE_BYTES);
    begin(session);
}

/* Collects the request's head. Returns how many bytes belong to it; those behind them belong to frames. */
static size_t take_request(struct echo_session *session, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    size_t before = session->head_bytes, room = sizeof session->head - before, consumed = 0;
    size_t added = length < room ? length : room;
    struct http_request request;
    const char *error;

    memcpy(session->head + before, bytes, added);
    session->head_bytes += added;
    switch (http_request_parse(&request, session->head, session->head_bytes, &consumed, &error)) {
    case HTTP_PARSE_INCOMPLETE:
        break;
    case HTTP_PARSE_DONE:
        answer_request(session, &request, now_ns);
        return consumed - before;
    case HTTP_PARSE_BAD:
        refuse(session, 400, now_ns);
        break;
    case HTTP_PARSE_TOO_LARGE:
        refuse(session, 431, now_ns);
        break;
    }
    return added;
}

static size_t take_answer(struct echo_session *session, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct ws_client_answer answer;
    size_t taken = ws_client_read_answer(&session->client, bytes, length, &answer);

    if (session->client.state == WS_CLIENT_OPEN) {
        begin(session);
    } else if (session->client.state == WS_CLIENT_REFUSED) {
        fprintf(stderr, "ws_echo: the server refused: %s\n", answer.error);
        end(session, now_ns);
    }
    return taken;
}

static bool send_request(struct echo_session *session)
{
    char text[HTTP_MAX_REQUEST_BYTES];
    long length;

    ws_client_start(&session->client, &session->echo->client, (uint8_t *)session->head);
    length = ws_client_write_request(&session->client, text, sizeof text);
    return length > 0 && send_bytes(session, text, (size_t)length);
}

/* --- life --- */

struct echo_session *echo_session_open(struct echo *echo, struct connection *connection, uint64_t now_ns)
{
    struct echo_session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->echo = echo;
    session->connection = connection;
    session->deadline_ns = now_ns + HANDSHAKE_NS;
    session->outlet = is_client(session) ? NULL : outlet_take(&echo->unused_outlets, echo->engine);
    list_append(&echo->sessions, &session->node);
    if (is_client(session) ? !send_request(session) : !session->outlet) {
        echo_session_destroy(session);
        return NULL;
    }
    connection->owner = session;
    return session;
}

void echo_session_destroy(struct echo_session *session)
{
    list_remove(&session->node);
    if (session->outlet)
        outlet_give_back(session->outlet, &session->echo->unused_outlets);
    free(session->message);
    free(session);
}

size_t echo_session_received(struct echo_session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    size_t taken = 0;

    if (length == 0 && session->state != ECHO_SESSION_ENDING)
        end(session, now_ns);
    if (session->state == ECHO_SESSION_HANDSHAKE && length > 0)
        taken = is_client(session) ? take_answer(session, bytes, length, now_ns) : take_request(session, bytes, length, now_ns);
    if (session->state == ECHO_SESSION_HANDSHAKE)
        return taken;
    return taken + take_frames(session, bytes + taken, length - taken, now_ns);
}

void echo_session_progressed(struct echo_session *session, uint64_t now_ns)
{
    send_leftovers(session);
    if (session->outlet)
        outlet_progress(session->outlet, session->connection);
    if (session->reply.waiting && session->state == ECHO_SESSION_OPEN && send_reply(session, session->reply, now_ns))
        engine_receive_resume(session->echo->engine, session->connection);
}
