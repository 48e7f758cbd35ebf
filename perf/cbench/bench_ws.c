/* WebSocket framing: headers, masks, UTF-8, and the reader that puts them together. */
#include "cbench/cbench.h"
#include "cbench/sample.h"

#include "flashrelay/ws.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

CBENCH(ws_write_header_of, 100, 25000, 250000)
{
    uint8_t header[WS_MAX_HEADER_BYTES];
    uint64_t length = (uint64_t)cbench_argument(bench);

    while (cbench_next(bench)) {
        cbench_keep(ws_write_header(header, WS_BINARY, length, NULL));
        cbench_keep(header);
    }
}

CBENCH(ws_unmask, 125, 4000, 25000, 250000)
{
    size_t length = (size_t)cbench_argument(bench);
    uint8_t *bytes = sample_flashblock(length);

    while (cbench_next(bench)) {
        ws_mask(bytes, length, mask, 1);
        cbench_keep(bytes);
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    free(bytes);
}

CBENCH(ws_utf8_check, 4000, 25000, 250000)
{
    size_t length = (size_t)cbench_argument(bench);
    uint8_t *bytes = sample_flashblock(length);

    while (cbench_next(bench)) {
        struct ws_utf8 utf8 = {0};
        cbench_keep(ws_utf8_feed(&utf8, bytes, length));
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    free(bytes);
}

/* Text in which characters of one, two, three and four bytes alternate. */
CBENCH(ws_utf8_check_multibyte, 25000)
{
    static const char characters[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x80";
    size_t length = (size_t)cbench_argument(bench) / 10 * 10;
    uint8_t *bytes = malloc(length);

    for (size_t i = 0; i < length; i += 10)
        memcpy(bytes + i, characters, 10);
    while (cbench_next(bench)) {
        struct ws_utf8 utf8 = {0};
        cbench_keep(ws_utf8_feed(&utf8, bytes, length));
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    free(bytes);
}

/* One text message as it comes from a builder, in pieces of at most 64 KiB: header, length and UTF-8. */
CBENCH(ws_read_message, 4000, 25000, 250000)
{
    size_t length = (size_t)cbench_argument(bench);
    uint8_t *payload = sample_flashblock(length), *frame = malloc(length + WS_MAX_HEADER_BYTES);
    size_t frame_length = ws_write_header(frame, WS_TEXT, length, NULL);
    struct ws_reader reader;
    struct ws_event event = {.kind = WS_EVENT_NONE};

    memcpy(frame + frame_length, payload, length);
    frame_length += length;
    ws_reader_init(&reader, WS_CLIENT, 32u << 20);
    while (cbench_next(bench)) {
        for (size_t at = 0; at < frame_length;) {
            size_t piece = frame_length - at < 65536 ? frame_length - at : 65536;
            at += ws_read(&reader, frame + at, piece, &event);
        }
        if (event.kind != WS_EVENT_DATA || !event.last)
            cbench_fail(bench, "the message was not read");
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    free(frame);
    free(payload);
}

/* A masked ping from a subscriber. */
CBENCH(ws_read_ping)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], copy[WS_MAX_CONTROL_FRAME];
    size_t length = ws_write_control(frame, WS_PING, "12345678", 8, mask);
    struct ws_reader reader;
    struct ws_event event = {.kind = WS_EVENT_NONE};

    ws_reader_init(&reader, WS_SERVER, 65536);
    while (cbench_next(bench)) {
        memcpy(copy, frame, length);
        cbench_keep(ws_read(&reader, copy, length, &event));
    }
    if (event.kind != WS_EVENT_PING)
        cbench_fail(bench, "the ping was not read");
}
