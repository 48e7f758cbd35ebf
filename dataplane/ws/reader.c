#include "flashrelay/ws.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct ws_reader) <= 176, "every subscriber has one");

enum state { READ_FLAGS, READ_LENGTH, READ_EXTENDED_LENGTH, READ_MASK, READ_DATA, READ_CONTROL, READ_NOTHING };

/* The bytes that ws_read was given and has not taken yet. */
struct input {
    uint8_t *bytes;
    size_t length;
};

void ws_reader_init(struct ws_reader *reader, enum ws_role role, uint64_t max_message_bytes)
{
    *reader = (struct ws_reader){.role = (uint8_t)role, .max_message_bytes = max_message_bytes, .state = READ_FLAGS};
}

static bool fail(struct ws_reader *reader, struct ws_event *event, uint16_t code, const char *reason)
{
    reader->state = READ_NOTHING;
    *event = (struct ws_event){.kind = WS_EVENT_ERROR, .code = code, .reason = reason};
    return true;
}

static bool is_control(const struct ws_reader *reader)
{
    return (reader->frame_opcode & 8) != 0;
}

/* Collects bytes in reader->held until there are `needed`; false while there are fewer. */
static bool collect(struct ws_reader *reader, struct input *input, size_t needed)
{
    size_t taken = needed - reader->held_length;

    if (taken > input->length)
        taken = input->length;
    if (taken != 0)
        memcpy(reader->held + reader->held_length, input->bytes, taken);
    reader->held_length = (uint8_t)(reader->held_length + taken);
    input->bytes += taken;
    input->length -= taken;
    return reader->held_length == needed;
}

/* --- reading the header, field by field; each function returns true if it made an event --- */

static bool read_flags(struct ws_reader *reader, struct ws_event *event)
{
    uint8_t opcode = reader->held[0] & 0x0f;

    reader->held_length = 0;
    reader->frame_opcode = opcode;
    reader->frame_fin = (reader->held[0] & 0x80) != 0;
    if ((reader->held[0] & 0x70) != 0)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "reserved bits are set");
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "reserved opcode");
    if (is_control(reader) && !reader->frame_fin)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "fragmented control frame");
    if (opcode == WS_CONTINUATION && reader->message_opcode == 0)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "continuation of no message");
    if ((opcode == WS_TEXT || opcode == WS_BINARY) && reader->message_opcode != 0)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "new message before the last one ended");
    reader->state = READ_LENGTH;
    return false;
}

static void begin_payload(struct ws_reader *reader)
{
    reader->mask_phase = 0;
    reader->state = is_control(reader) ? READ_CONTROL : READ_DATA;
}

static bool announce_payload(struct ws_reader *reader, uint64_t length, struct ws_event *event)
{
    reader->frame_left = length;
    if (reader->role == WS_SERVER)
        reader->state = READ_MASK;
    else
        begin_payload(reader);
    if (is_control(reader))
        return false;
    if (length > reader->max_message_bytes - reader->message_bytes)
        return fail(reader, event, WS_CLOSE_TOO_BIG, "message too big");
    reader->message_bytes += length;
    if (reader->frame_opcode != WS_CONTINUATION)
        reader->message_opcode = reader->frame_opcode;
    return false;
}

static bool read_length(struct ws_reader *reader, struct ws_event *event)
{
    bool is_masked = (reader->held[0] & 0x80) != 0;
    uint8_t length = reader->held[0] & 0x7f;

    reader->held_length = 0;
    if (is_masked != (reader->role == WS_SERVER))
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR,
                    is_masked ? "masked frame from a server" : "frame from a client is not masked");
    if (is_control(reader) && length > WS_MAX_CONTROL_BYTES)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "control frame of more than 125 bytes");
    if (length < 126)
        return announce_payload(reader, length, event);
    reader->extended_length_bytes = length == 126 ? 2 : 8;
    reader->state = READ_EXTENDED_LENGTH;
    return false;
}

static bool read_extended_length(struct ws_reader *reader, struct ws_event *event)
{
    uint64_t length = 0;

    for (unsigned i = 0; i < reader->extended_length_bytes; i++)
        length = length << 8 | reader->held[i];
    reader->held_length = 0;
    if (length > INT64_MAX)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "most significant bit of the length is set");
    if (length < (reader->extended_length_bytes == 2 ? 126 : UINT16_MAX + 1))
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "length is not in its shortest form");
    return announce_payload(reader, length, event);
}

static bool read_mask(struct ws_reader *reader)
{
    memcpy(reader->mask, reader->held, sizeof reader->mask);
    reader->held_length = 0;
    begin_payload(reader);
    return false;
}

/* --- reading the payload --- */

static bool end_message(struct ws_reader *reader, struct ws_event *event)
{
    if (reader->utf8.state != 0)
        return fail(reader, event, WS_CLOSE_INVALID_PAYLOAD, "text ends within a character");
    event->last = true;
    reader->message_opcode = 0;
    reader->message_bytes = 0;
    return true;
}

/* Takes the bytes that have come of the frame's payload. An empty frame makes an event only if it ends a message. */
static bool read_data(struct ws_reader *reader, struct input *input, struct ws_event *event)
{
    size_t length = input->length < reader->frame_left ? input->length : (size_t)reader->frame_left;
    uint8_t *bytes = input->bytes;

    input->bytes += length;
    input->length -= length;
    reader->frame_left -= length;
    if (reader->frame_left == 0)
        reader->state = READ_FLAGS;
    if (length == 0 && !reader->frame_fin)
        return false;
    if (reader->role == WS_SERVER)
        ws_mask(bytes, length, reader->mask, reader->mask_phase);
    reader->mask_phase = (uint8_t)((reader->mask_phase + length) & 3);
    if (reader->message_opcode == WS_TEXT && !ws_utf8_feed(&reader->utf8, bytes, length))
        return fail(reader, event, WS_CLOSE_INVALID_PAYLOAD, "text is not UTF-8");
    *event = (struct ws_event){.kind = WS_EVENT_DATA, .opcode = reader->message_opcode, .bytes = bytes, .length = length};
    return reader->frame_left == 0 && reader->frame_fin ? end_message(reader, event) : true;
}

/* RFC 6455, 5.5.1 and 7.4 */
static bool read_close(struct ws_reader *reader, const uint8_t *payload, size_t length, struct ws_event *event)
{
    struct ws_utf8 utf8 = {0};
    uint16_t code;

    if (length == 1)
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "close frame with one byte");
    code = (uint16_t)(length == 0 ? WS_CLOSE_NO_STATUS : payload[0] << 8 | payload[1]);
    if (length != 0 && !ws_close_code_is_valid(code))
        return fail(reader, event, WS_CLOSE_PROTOCOL_ERROR, "invalid close code");
    if (length > 2 && (!ws_utf8_feed(&utf8, payload + 2, length - 2) || utf8.state != 0))
        return fail(reader, event, WS_CLOSE_INVALID_PAYLOAD, "reason of the close is not UTF-8");
    reader->state = READ_NOTHING;
    event->kind = WS_EVENT_CLOSE;
    event->code = code;
    event->bytes = length == 0 ? payload : payload + 2;
    event->length = length == 0 ? 0 : length - 2;
    return true;
}

/* Takes the payload of a control frame once it is complete; pieces are collected first. */
static bool read_control(struct ws_reader *reader, struct input *input, struct ws_event *event)
{
    size_t length = (size_t)reader->frame_left;
    uint8_t *payload = reader->held;

    if (reader->held_length == 0 && input->length >= length) {
        payload = input->bytes;
        input->bytes += length;
        input->length -= length;
    } else if (!collect(reader, input, length)) {
        return false;
    }
    if (reader->role == WS_SERVER)
        ws_mask(payload, length, reader->mask, 0);
    reader->held_length = 0;
    reader->state = READ_FLAGS;
    *event = (struct ws_event){.opcode = reader->frame_opcode, .last = true, .bytes = payload, .length = length};
    if (reader->frame_opcode == WS_CLOSE)
        return read_close(reader, payload, length, event);
    event->kind = reader->frame_opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG;
    return true;
}

/* One step; true if it made an event, else the state or the input has moved on, or all input is used up. */
static bool step(struct ws_reader *reader, struct input *input, struct ws_event *event)
{
    switch ((enum state)reader->state) {
    case READ_FLAGS:
        return collect(reader, input, 1) && read_flags(reader, event);
    case READ_LENGTH:
        return collect(reader, input, 1) && read_length(reader, event);
    case READ_EXTENDED_LENGTH:
        return collect(reader, input, reader->extended_length_bytes) && read_extended_length(reader, event);
    case READ_MASK:
        return collect(reader, input, sizeof reader->mask) && read_mask(reader);
    case READ_DATA:
        return read_data(reader, input, event);
    case READ_CONTROL:
        return read_control(reader, input, event);
    case READ_NOTHING:
        input->length = 0;
        return false;
    }
    return false;
}

/* True if the header is complete and the payload is empty: the frame ends without another byte. */
static bool is_at_empty_payload(const struct ws_reader *reader)
{
    return reader->frame_left == 0 && (reader->state == READ_DATA || reader->state == READ_CONTROL);
}

size_t ws_read(struct ws_reader *reader, uint8_t *bytes, size_t length, struct ws_event *event)
{
    struct input input = {bytes, length};

    *event = (struct ws_event){.kind = WS_EVENT_NONE};
    while (input.length != 0 || is_at_empty_payload(reader))
        if (step(reader, &input, event))
            break;
    return length - input.length;
}

bool ws_reader_is_idle(const struct ws_reader *reader)
{
    return reader->state == READ_FLAGS && reader->held_length == 0 && reader->message_opcode == 0;
}
