/*
 * Messages in fragments: the input is a script that says which messages to send, how to fragment them, which control frames to put between
 * and how to split the stream. What is reassembled must be what was sent, in order, and no frame may be refused.
 */
#include "flashrelay/ws.h"
#include "support/fuzz_script.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STREAM_BYTES 16384

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

struct byte_run {
    uint8_t *bytes;
    size_t length;
};

static void append(struct byte_run *bytes, const void *more, size_t length)
{
    if (length != 0)
        memcpy(bytes->bytes + bytes->length, more, length);
    bytes->length += length;
}

/* One side's view: the frames as they go over the wire, and what should come of the data and of the control frames. */
struct conversation {
    enum ws_role reader_role;
    struct fuzz_script script;
    struct byte_run wire, data, control;
};

static void send_frame(struct conversation *conversation, uint8_t opcode, bool fin, const uint8_t *payload, size_t length)
{
    uint8_t header[WS_MAX_HEADER_BYTES], mask[4];
    bool masked = conversation->reader_role == WS_SERVER;
    size_t start = conversation->wire.length;

    for (int i = 0; i < 4; i++)
        mask[i] = masked ? fuzz_script_next(&conversation->script) : 0;
    append(&conversation->wire, header, ws_write_header(header, opcode, length, masked ? mask : NULL));
    if (!fin)
        conversation->wire.bytes[start] &= 0x7f;
    append(&conversation->wire, payload, length);
    ws_mask(conversation->wire.bytes + conversation->wire.length - length, length, mask, 0);
}

static void send_control(struct conversation *conversation)
{
    uint8_t payload[WS_MAX_CONTROL_BYTES];
    size_t length = fuzz_script_next(&conversation->script) % (sizeof payload + 1);
    uint8_t opcode = (fuzz_script_next(&conversation->script) & 1) != 0 ? WS_PING : WS_PONG;

    memset(payload, fuzz_script_next(&conversation->script), sizeof payload);
    send_frame(conversation, opcode, true, payload, length);
    append(&conversation->control, &opcode, 1);
    append(&conversation->control, payload, length);
}

/* A message of the character U+20AC, or of any bytes, in fragments that may end within a character. */
static void send_message(struct conversation *conversation)
{
    static const uint8_t EURO[3] = {0xe2, 0x82, 0xac};
    uint8_t payload[3 * 300];
    uint8_t opcode = (fuzz_script_next(&conversation->script) & 1) != 0 ? WS_TEXT : WS_BINARY;
    size_t length = (size_t)fuzz_script_next(&conversation->script) * (opcode == WS_TEXT ? 3 : 1), sent = 0;
    unsigned more = fuzz_script_next(&conversation->script) % 5;

    for (size_t i = 0; i < length; i++)
        payload[i] = opcode == WS_TEXT ? EURO[i % 3] : (uint8_t)(i * 7 + length);
    append(&conversation->data, &opcode, 1);
    append(&conversation->data, payload, length);
    for (uint8_t frame_opcode = opcode; more != 0; frame_opcode = WS_CONTINUATION, more--) {
        size_t piece = length == sent ? 0 : fuzz_script_next(&conversation->script) % (length - sent + 1);

        send_frame(conversation, frame_opcode, false, payload + sent, piece);
        sent += piece;
        opcode = WS_CONTINUATION;
        if ((fuzz_script_next(&conversation->script) & 1) != 0)
            send_control(conversation);
    }
    send_frame(conversation, opcode, true, payload + sent, length - sent);
}

/* Reads the stream in pieces, whose lengths come from the script, and compares the events with what was sent. */
static void check_reading(struct conversation *conversation)
{
    struct byte_run data = {malloc(MAX_STREAM_BYTES), 0}, control = {malloc(MAX_STREAM_BYTES), 0};
    struct ws_reader reader;
    bool in_message = false;
    size_t done = 0;

    ws_reader_init(&reader, conversation->reader_role, sizeof(uint8_t[3 * 300]));
    while (done < conversation->wire.length) {
        size_t piece = 1 + fuzz_script_next(&conversation->script) * 3u, left = conversation->wire.length - done;
        struct ws_event event;

        done += ws_read(&reader, conversation->wire.bytes + done, piece < left ? piece : left, &event);
        if (event.kind == WS_EVENT_DATA) {
            if (!in_message)
                append(&data, &event.opcode, 1);
            append(&data, event.bytes, event.length);
            in_message = !event.last;
        } else if (event.kind == WS_EVENT_PING || event.kind == WS_EVENT_PONG) {
            append(&control, &event.opcode, 1);
            append(&control, event.bytes, event.length);
        } else if (event.kind != WS_EVENT_NONE) {
            abort();
        }
    }
    if (in_message || data.length != conversation->data.length || control.length != conversation->control.length ||
        memcmp(data.bytes, conversation->data.bytes, data.length) != 0 ||
        memcmp(control.bytes, conversation->control.bytes, control.length) != 0)
        abort();
    free(data.bytes);
    free(control.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct conversation conversation = {
        .script = {input, length},
        .wire.bytes = malloc(MAX_STREAM_BYTES),
        .data.bytes = malloc(MAX_STREAM_BYTES),
        .control.bytes = malloc(MAX_STREAM_BYTES),
    };

    conversation.reader_role = (fuzz_script_next(&conversation.script) & 1) != 0 ? WS_SERVER : WS_CLIENT;
    while (conversation.script.length > 8 && conversation.wire.length < MAX_STREAM_BYTES / 2)
        send_message(&conversation);
    check_reading(&conversation);
    free(conversation.wire.bytes);
    free(conversation.data.bytes);
    free(conversation.control.bytes);
    return 0;
}
