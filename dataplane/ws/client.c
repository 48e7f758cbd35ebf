#include "flashrelay/ws_client.h"

#include "ws/upgrade_client.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct ws_client) <= sizeof(struct ws_reader) + 16, "there may be thousands of them");

/* --- the upgrade --- */

void ws_client_start(struct ws_client *client, const struct ws_client_options *options, uint8_t *head)
{
    uint64_t key[2] = {options->next_random(options->context), options->next_random(options->context)};

    *client = (struct ws_client){
        .options = options,
        .state = WS_CLIENT_UPGRADING,
        .upgrade = {.head = head, .answer_bytes_left = WS_CLIENT_HEAD_BYTES},
    };
    static_assert(sizeof key == sizeof client->upgrade.key, "the key's 16 bytes");
    memcpy(client->upgrade.key, key, sizeof key);
}

long ws_client_write_request(const struct ws_client *client, char *out, size_t capacity)
{
    assert(client->state == WS_CLIENT_UPGRADING);
    return ws_write_upgrade_request(out, capacity, client->options->uri, client->upgrade.key);
}

/* Appends a piece to the unfinished head that is held. */
static void append_to_head(struct ws_client *client, const uint8_t *piece, size_t length)
{
    memcpy(client->upgrade.head + client->upgrade.held_bytes, piece, length);
    client->upgrade.held_bytes = (uint16_t)(client->upgrade.held_bytes + length);
}

/* Ends the upgrade: the final answer was read, or no valid one can come any more. */
static void end_upgrade(struct ws_client *client, const struct ws_client_answer *answer)
{
    if (answer->error[0] != '\0') {
        client->state = WS_CLIENT_REFUSED;
        return;
    }
    client->state = WS_CLIENT_OPEN;
    ws_reader_init(&client->reader, WS_CLIENT, client->options->max_message_bytes);
}

/* Parses a head that may be incomplete. Returns its length if it is complete, else `length`. */
static size_t parse_head(struct ws_client *client, const uint8_t *head, size_t length, struct ws_client_answer *answer)
{
    size_t head_bytes = length;

    switch (ws_parse_upgrade_answer(answer, (const char *)head, length, client->upgrade.key, &head_bytes)) {
    case HTTP_PARSE_INCOMPLETE:
        if (head != client->upgrade.head)
            append_to_head(client, head, length);
        break;
    case HTTP_PARSE_DONE:
        client->upgrade.held_bytes = 0;
        if (!ws_answer_is_interim(answer))
            end_upgrade(client, answer);
        break;
    case HTTP_PARSE_BAD:
    case HTTP_PARSE_TOO_LARGE:
        end_upgrade(client, answer);
        break;
    }
    return head_bytes;
}

/* Takes a piece of the answer up to the end of a head, or all of it if no head ends there; returns how many bytes. */
static size_t take_piece(struct ws_client *client, const uint8_t *piece, size_t length, struct ws_client_answer *answer)
{
    size_t held = client->upgrade.held_bytes;
    const uint8_t *head = held > 0 ? client->upgrade.head : piece;

    if (held > 0)
        append_to_head(client, piece, length);
    if (held > 0 && http_head_find_end((const char *)head, held + length, held) == 0)
        return length;
    return parse_head(client, head, held + length, answer) - held;
}

size_t ws_client_read_answer(struct ws_client *client, const uint8_t *bytes, size_t length, struct ws_client_answer *answer)
{
    size_t taken = 0;

    *answer = (struct ws_client_answer){0};
    while (taken < length && client->state == WS_CLIENT_UPGRADING) {
        size_t left = length - taken, room = client->upgrade.answer_bytes_left, piece;

        piece = take_piece(client, bytes + taken, left < room ? left : room, answer);
        taken += piece;
        if (client->state != WS_CLIENT_UPGRADING)
            break;
        client->upgrade.answer_bytes_left = (uint16_t)(room - piece);
        if (piece == room) {
            ws_answer_refuse_too_large(answer);
            client->state = WS_CLIENT_REFUSED;
        }
    }
    return taken;
}

/* --- reading --- */

/* True if the event is to be reported: after our close frame only the server's close frame, or an error (RFC 6455, 1.4). */
static bool is_reported(const struct ws_client *client, const struct ws_event *event)
{
    return client->state != WS_CLIENT_CLOSING || event->kind == WS_EVENT_CLOSE || event->kind == WS_EVENT_ERROR;
}

size_t ws_client_read(struct ws_client *client, uint8_t *bytes, size_t length, struct ws_event *event)
{
    size_t taken = 0;

    assert(client->state >= WS_CLIENT_OPEN);
    do {
        taken += ws_read(&client->reader, bytes + taken, length - taken, event);
        if (is_reported(client, event))
            break;
        event->kind = WS_EVENT_NONE;
    } while (taken < length);
    if (event->kind == WS_EVENT_CLOSE || event->kind == WS_EVENT_ERROR)
        client->state = WS_CLIENT_CLOSED;
    return taken;
}

/* --- writing --- */

static void draw_mask(const struct ws_client *client, uint8_t mask[4])
{
    uint64_t drawn = client->options->next_random(client->options->context);

    memcpy(mask, &drawn, 4);
}

size_t ws_client_write_message(const struct ws_client *client, uint8_t *frame, uint8_t opcode, const void *payload, size_t length)
{
    size_t header_bytes;
    uint8_t mask[4];

    assert(client->state == WS_CLIENT_OPEN && (opcode == WS_TEXT || opcode == WS_BINARY));
    draw_mask(client, mask);
    header_bytes = ws_write_header(frame, opcode, length, mask);
    if (length > 0)
        memcpy(frame + header_bytes, payload, length);
    ws_mask(frame + header_bytes, length, mask, 0);
    return header_bytes + length;
}

size_t ws_client_write_control(const struct ws_client *client, uint8_t frame[WS_MAX_CONTROL_FRAME], uint8_t opcode,
                               const void *payload, size_t length)
{
    uint8_t mask[4];

    assert(client->state == WS_CLIENT_OPEN && (opcode == WS_PING || opcode == WS_PONG));
    draw_mask(client, mask);
    return ws_write_control(frame, opcode, payload, length, mask);
}

size_t ws_client_write_close(struct ws_client *client, uint8_t frame[WS_MAX_CONTROL_FRAME], uint16_t code, const char *reason)
{
    uint8_t mask[4];

    assert(client->state >= WS_CLIENT_OPEN);
    if (client->close_written)
        return 0;
    client->close_written = true;
    if (client->state == WS_CLIENT_OPEN)
        client->state = WS_CLIENT_CLOSING;
    draw_mask(client, mask);
    return ws_write_close(frame, code, reason, mask);
}
