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

static const uint8_t *next_mask(struct echo_session *session, uint8_t mask[4])
{
    uint32_t bits = (uint32_t)random_next(&session->echo->random);

    memcpy(mask, &bits, sizeof bits);
    return session->echo->uri ? mask : NULL;
}

/* What a client sends is masked, each frame with a mask of its own, so it can't come from a channel. */
static bool send_masked(struct echo_session *session, const struct reply *reply)
{
    uint8_t mask[4], *frame = malloc(WS_MAX_HEADER_BYTES + reply->length);
    size_t header_bytes;
    bool sent;

    if (!frame)
        return false;
    header_bytes = ws_write_header(frame, reply->opcode, reply->length, next_mask(session, mask));
    if (reply->length > 0)
        memcpy(frame + header_bytes, reply->bytes, reply->length);
    ws_mask(frame + header_bytes, reply->length, mask, 0);
    sent = send_bytes(session, frame, header_bytes + reply->length);
    free(frame);
    return sent;
}

/* Hands over frames that found no extent; true if there are none left. A client has no outlet. */
static bool send_leftovers(struct echo_session *session)
{
    return !session->outlet || outlet_flush(session->outlet, session->echo->engine, session->connection);
}

static bool send_control(struct echo_session *session, const struct reply *reply)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], mask[4];
    size_t length = ws_write_control(frame, reply->opcode, reply->bytes, reply->length, next_mask(session, mask));

    return send_leftovers(session) && send_bytes(session, frame, length);
}

static bool try_send(struct echo_session *session, const struct reply *reply)
{
    if (reply->opcode >= WS_CLOSE)
        return send_control(session, reply);
    if (session->echo->uri)
        return send_masked(session, reply);
    return outlet_send(session->outlet, session->echo->engine, session->connection, reply->opcode, reply->bytes, reply->length);
}

/* Sends, or keeps it until there is room; true if it is sent. What it points to must stay until then. */
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

static void send_control_reply(struct echo_session *session, uint8_t opcode, const void *payload, size_t length, uint64_t now_ns)
{
    memmove(session->control, payload, length);
    send_reply(session, (struct reply){.opcode = opcode, .bytes = session->control, .length = length}, now_ns);
}

void echo_session_close(struct echo_session *session, uint16_t code, uint64_t now_ns)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (session->state != ECHO_SESSION_OPEN)
        return;
    session->deadline_ns = now_ns + END_NS;
    send_control_reply(session, WS_CLOSE, payload, code == WS_CLOSE_NO_STATUS ? 0 : sizeof payload, now_ns);
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
        send_control_reply(session, WS_PONG, event->bytes, event->length, now_ns);
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

static size_t take_frames(struct echo_session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    size_t taken = 0;

    while (taken < length && session->state == ECHO_SESSION_OPEN && !session->reply.waiting) {
        struct ws_event event;

        taken += ws_read(&session->reader, bytes + taken, length - taken, &event);
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
    ws_reader_init(&session->reader, session->echo->uri ? WS_CLIENT : WS_SERVER, ECHO_MAX_MESSAGE_BYTES);
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
    begin(session);
}

static enum http_parse_result read_request(struct echo_session *session, size_t *consumed, uint64_t now_ns)
{
    struct http_request request;
    const char *error;
    enum http_parse_result result = http_request_parse(&request, session->head, session->head_bytes, consumed, &error);

    if (result == HTTP_PARSE_DONE)
        answer_request(session, &request, now_ns);
    else if (result != HTTP_PARSE_INCOMPLETE)
        refuse(session, result == HTTP_PARSE_TOO_LARGE ? 431 : 400, now_ns);
    return result;
}

static enum http_parse_result read_answer(struct echo_session *session, size_t *consumed, uint64_t now_ns)
{
    struct ws_upgrade_answer answer;
    enum http_parse_result result = ws_upgrade_answer_parse(&answer, session->head, session->head_bytes, session->key, consumed);

    if (result == HTTP_PARSE_INCOMPLETE)
        return result;
    if (result == HTTP_PARSE_DONE && answer.status == 101 && answer.error[0] == '\0') {
        begin(session);
        return result;
    }
    fprintf(stderr, "ws_echo: the server refused: %s\n", result == HTTP_PARSE_DONE ? answer.error : "no HTTP answer");
    end(session, now_ns);
    return result;
}

/* Collects the head; what follows it belongs to the frames. */
static size_t take_head(struct echo_session *session, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    size_t before = session->head_bytes, room = sizeof session->head - before, consumed = 0;
    size_t added = length < room ? length : room;
    enum http_parse_result result;

    memcpy(session->head + before, bytes, added);
    session->head_bytes += added;
    result = session->echo->uri ? read_answer(session, &consumed, now_ns) : read_request(session, &consumed, now_ns);
    return result == HTTP_PARSE_DONE ? consumed - before : added;
}

static bool send_request(struct echo_session *session)
{
    char text[HTTP_MAX_REQUEST_BYTES];
    long length;

    for (size_t i = 0; i < sizeof session->key; i++)
        session->key[i] = (uint8_t)random_next(&session->echo->random);
    length = ws_write_upgrade_request(text, sizeof text, session->echo->uri, session->key);
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
    session->outlet = echo->uri ? NULL : outlet_take(&echo->unused_outlets, echo->engine);
    list_append(&echo->sessions, &session->node);
    if (echo->uri ? !send_request(session) : !session->outlet) {
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
        taken = take_head(session, bytes, length, now_ns);
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
