#include "ingest/upstream.h"

#include "flashrelay/log.h"
#include "ingest/internal.h"

#include <string.h>

/* Most bytes of the upgrade request, with its target and credentials. */
#define REQUEST_BYTES (HTTP_MAX_REQUEST_BYTES + 1024)

/* True while the upstream still has the connection of that number: an event may have ended or replaced it. */
static bool is_current(const struct upstream *upstream, uint32_t connection_id)
{
    return upstream->connection && upstream->connection_id == connection_id;
}

/* False while received bytes have to wait: for a message that waits, or for a budget. */
static bool may_read(const struct upstream *upstream)
{
    return !upstream_has_waiting_message(upstream) && !upstream->paused;
}

/* --- messages --- */

static void deliver(struct upstream *upstream, const uint8_t *bytes, size_t length, bool text, uint64_t now_ns)
{
    struct message *message = &upstream->message;
    bool done;

    counter_add(&upstream->counters.messages, 1);
    counter_add(&upstream->counters.bytes, length);
    message->bytes = bytes;
    message->length = length;
    message->text = text;
    message->arrived_ns = now_ns;
    message->connection = upstream->connection_id;
    done = publisher_offer(&upstream->ingest->publisher, message);
    budget_spend_message(&upstream->budget, message->unpacked_bytes);
    if (done) {
        message_buffer_clear(&upstream->buffer);
        return;
    }
    if (bytes != upstream->buffer.bytes)
        message_buffer_append(&upstream->buffer, bytes, length);
    message->bytes = upstream->buffer.bytes;
}

/* A message that came in one piece is published from where it lies, unless it is empty: then there may be no byte at `event->bytes`. */
static void take_piece(struct upstream *upstream, const struct ws_event *event, uint64_t now_ns)
{
    bool text = event->opcode == WS_TEXT;

    if (event->last && event->length > 0 && upstream->buffer.length == 0) {
        deliver(upstream, event->bytes, event->length, text, now_ns);
        return;
    }
    message_buffer_append(&upstream->buffer, event->bytes, event->length);
    if (event->last)
        deliver(upstream, upstream->buffer.bytes, upstream->buffer.length, text, now_ns);
}

static void take_error(struct upstream *upstream, const struct ws_event *event, uint64_t now_ns)
{
    if (event->code == WS_CLOSE_TOO_BIG)
        counter_add(&upstream->counters.too_big, 1);
    upstream_close(upstream, event->code, event->reason, now_ns);
}

/* If there is no room for a pong, none is sent: the upstream does not read, so it does not wait for the pong. */
static void take_event(struct upstream *upstream, const struct ws_event *event, uint64_t now_ns)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        take_piece(upstream, event, now_ns);
        break;
    case WS_EVENT_PING:
        upstream_send_control(upstream, WS_PONG, event->bytes, event->length);
        break;
    case WS_EVENT_PONG:
        heartbeat_pong(&upstream->heartbeat, now_ns);
        break;
    case WS_EVENT_CLOSE:
        upstream_close_answered(upstream, event, now_ns);
        break;
    case WS_EVENT_ERROR:
        take_error(upstream, event, now_ns);
        break;
    }
}

static size_t take_frames(struct upstream *upstream, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct ws_event event;
    size_t taken = ws_client_read(&upstream->client, bytes, length, &event);

    if (event.kind == WS_EVENT_NONE)
        return taken;
    if (upstream->state != UPSTREAM_OPEN) { /* our close is sent: this is the upstream's, or an error instead of it */
        upstream_finish(upstream);
        return taken;
    }
    budget_spend_frame(&upstream->budget);
    take_event(upstream, &event, now_ns);
    upstream->paused = upstream->state == UPSTREAM_OPEN && budget_is_spent(&upstream->budget);
    return taken;
}

/* --- handshakes --- */

static void request_upgrade(struct upstream *upstream, uint64_t now_ns)
{
    char request[REQUEST_BYTES];
    long length;

    ws_client_start(&upstream->client, &upstream->client_options, upstream->buffer.bytes);
    length = ws_client_write_request(&upstream->client, request, sizeof request);
    upstream->state = UPSTREAM_UPGRADING;
    if (length < 0)
        upstream_drop(upstream, now_ns, "the request to upgrade is larger than %d bytes", REQUEST_BYTES);
    else if (!upstream_send(upstream, request, (size_t)length))
        upstream_drop(upstream, now_ns, "the request to upgrade could not be sent");
    explicit_bzero(request, sizeof request);
}

static size_t take_answer(struct upstream *upstream, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct ws_client_answer answer;
    size_t taken = ws_client_read_answer(&upstream->client, bytes, length, &answer);

    if (upstream->client.state == WS_CLIENT_OPEN)
        upstream_opened(upstream, now_ns);
    else if (upstream->client.state == WS_CLIENT_REFUSED)
        upstream_drop(upstream, now_ns, "the upgrade was refused: %s", answer.error);
    return taken;
}

/* Returns how much was taken: less than all only where reading has to stop. */
static size_t take_plain(struct upstream *upstream, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    uint32_t connection_id = upstream->connection_id;
    size_t taken = 0;

    while (taken < length && is_current(upstream, connection_id) && may_read(upstream))
        taken += upstream->state == UPSTREAM_UPGRADING ? take_answer(upstream, bytes + taken, length - taken, now_ns)
                                                       : take_frames(upstream, bytes + taken, length - taken, now_ns);
    return is_current(upstream, connection_id) ? taken : length;
}

/* --- TLS --- */

static void end_stream(struct upstream *upstream, uint64_t now_ns)
{
    if (upstream->state == UPSTREAM_CLOSING)
        upstream_finish(upstream);
    else
        upstream_drop(upstream, now_ns, "the upstream ended the connection");
}

/* One step of decrypting; false if it needs more records, or the connection has ended. */
static bool proceed_tls(struct upstream *upstream, uint64_t now_ns)
{
    bool securing = upstream->state == UPSTREAM_SECURING;
    enum tls_result result;

    upstream->plain_taken = upstream->plain_length = 0;
    result = securing ? tls_client_handshake(upstream->tls)
                      : tls_client_read(upstream->tls, upstream->plain, UPSTREAM_PLAIN_BYTES, &upstream->plain_length);
    if (!upstream_send_records(upstream)) {
        upstream_drop(upstream, now_ns, "the upstream takes no bytes");
        return false;
    }
    switch (result) {
    case TLS_DONE:
        if (securing)
            request_upgrade(upstream, now_ns);
        return true;
    case TLS_MORE:
        break;
    case TLS_CLOSED:
        end_stream(upstream, now_ns);
        break;
    case TLS_FAILED:
        upstream_drop(upstream, now_ns, "%s", tls_client_error(upstream->tls));
        break;
    }
    return false;
}

/* Decrypts until more records are needed, reading has to stop, or the connection has ended or been replaced. */
static void take_records(struct upstream *upstream, uint64_t now_ns)
{
    uint32_t connection_id = upstream->connection_id;

    while (is_current(upstream, connection_id) && may_read(upstream)) {
        size_t left = upstream->plain_length - upstream->plain_taken;

        if (left == 0 && !proceed_tls(upstream, now_ns))
            break;
        if (left > 0) {
            size_t taken = take_plain(upstream, upstream->plain + upstream->plain_taken, left, now_ns);

            if (is_current(upstream, connection_id))
                upstream->plain_taken += taken;
        }
    }
}

static size_t feed_records(struct upstream *upstream, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    if (tls_client_feed(upstream->tls, bytes, length) != 0)
        upstream_drop(upstream, now_ns, "no memory for TLS");
    else
        take_records(upstream, now_ns);
    return length;
}

/* --- events --- */

void upstream_connected(struct upstream *upstream, int error, uint64_t now_ns)
{
    if (error != 0) {
        upstream->connection = NULL;
        upstream_drop(upstream, now_ns, "%s", strerror(-error));
    } else if (upstream->uri->tls) {
        upstream->state = UPSTREAM_SECURING;
        take_records(upstream, now_ns);
    } else {
        request_upgrade(upstream, now_ns);
    }
}

size_t upstream_received(struct upstream *upstream, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    if (!may_read(upstream)) {
        upstream->fin_pending = upstream->fin_pending || length == 0;
        return 0;
    }
    if (length == 0) {
        end_stream(upstream, now_ns);
        return 0;
    }
    upstream->read_ns = now_ns;
    if (upstream->tls)
        return feed_records(upstream, bytes, length, now_ns);
    return take_plain(upstream, bytes, length, now_ns);
}

static void read_on(struct upstream *upstream, uint64_t now_ns)
{
    uint32_t connection_id = upstream->connection_id;

    if (upstream->tls)
        take_records(upstream, now_ns);
    if (!is_current(upstream, connection_id) || !may_read(upstream))
        return;
    if (upstream->fin_pending)
        end_stream(upstream, now_ns);
    else
        engine_receive_resume(upstream->ingest->engine, upstream->connection);
}

void upstream_released(struct upstream *upstream, uint64_t now_ns)
{
    message_buffer_clear(&upstream->buffer);
    if (!upstream->connection)
        return;
    heartbeat_extend(&upstream->heartbeat, now_ns);
    read_on(upstream, now_ns);
}

void upstream_begin_turn(struct upstream *upstream, uint64_t now_ns)
{
    budget_begin_turn(&upstream->budget, now_ns);
    if (!upstream->paused || (upstream->state == UPSTREAM_OPEN && budget_is_spent(&upstream->budget)))
        return;
    upstream->paused = false;
    if (may_read(upstream))
        read_on(upstream, now_ns);
}
