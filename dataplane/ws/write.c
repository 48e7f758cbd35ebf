#include "flashrelay/ws.h"

#include <assert.h>
#include <string.h>

#define FIN    0x80
#define MASKED 0x80

static void put_big_endian(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

/* RFC 6455, 5.2: the shortest of the three forms. */
static size_t write_length(uint8_t *out, uint64_t length)
{
    if (length < 126) {
        out[0] = (uint8_t)length;
        return 1;
    }
    if (length <= UINT16_MAX) {
        out[0] = 126;
        put_big_endian(out + 1, length, 2);
        return 3;
    }
    out[0] = 127;
    put_big_endian(out + 1, length, 8);
    return 9;
}

size_t ws_write_header(uint8_t header[WS_MAX_HEADER_BYTES], uint8_t opcode, uint64_t payload_length, const uint8_t *mask)
{
    size_t length;

    assert(opcode <= 0xf && payload_length <= INT64_MAX);
    header[0] = (uint8_t)(FIN | opcode);
    length = 1 + write_length(header + 1, payload_length);
    if (!mask)
        return length;
    header[1] |= MASKED;
    memcpy(header + length, mask, 4);
    return length + 4;
}

size_t ws_write_control(uint8_t frame[WS_MAX_CONTROL_FRAME], uint8_t opcode, const void *payload, size_t length,
                        const uint8_t *mask)
{
    size_t header_length;

    assert(opcode >= WS_CLOSE && length <= WS_MAX_CONTROL_BYTES);
    header_length = ws_write_header(frame, opcode, length, mask);
    if (length != 0)
        memcpy(frame + header_length, payload, length);
    if (mask)
        ws_mask(frame + header_length, length, mask, 0);
    return header_length + length;
}

/* The length of a UTF-8 text that is cut between two characters to at most `limit` bytes. */
static size_t cut_text(const char *text, size_t limit)
{
    size_t length = strlen(text);

    if (length <= limit)
        return length;
    while (limit != 0 && ((uint8_t)text[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}

size_t ws_write_close(uint8_t frame[WS_MAX_CONTROL_FRAME], uint16_t code, const char *reason, const uint8_t *mask)
{
    uint8_t payload[WS_MAX_CONTROL_BYTES];
    size_t reason_length = reason ? cut_text(reason, sizeof payload - 2) : 0;

    if (code == WS_CLOSE_NO_STATUS)
        return ws_write_control(frame, WS_CLOSE, NULL, 0, mask);
    assert(ws_close_code_is_valid(code));
    put_big_endian(payload, code, 2);
    if (reason_length != 0)
        memcpy(payload + 2, reason, reason_length);
    return ws_write_control(frame, WS_CLOSE, payload, 2 + reason_length, mask);
}

bool ws_close_code_is_valid(uint16_t code)
{
    if (code >= 3000)
        return code <= 4999; /* registered and private use */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
