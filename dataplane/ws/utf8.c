#include "flashrelay/ws.h"

#include <string.h>

/*
 * Inside a character the state holds how many continuation bytes are still to come and the range of the next one: the range of the
 * second byte is what excludes overlong forms, surrogates and what is above U+10FFFF (RFC 3629, 4).
 */
#define STATE(left, low, high) ((uint32_t)(left) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)
#define STATE_INVALID          UINT32_MAX

static uint32_t begin_character(uint8_t byte)
{
    if (byte < 0x80)
        return 0;
    if (byte < 0xc2 || byte > 0xf4)
        return STATE_INVALID;
    if (byte < 0xe0)
        return STATE(1, 0x80, 0xbf);
    if (byte < 0xf0)
        return STATE(2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf);
    return STATE(3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf);
}

static uint32_t continue_character(uint32_t state, uint8_t byte)
{
    uint8_t left = (uint8_t)state, low = (uint8_t)(state >> 8), high = (uint8_t)(state >> 16);

    if (byte < low || byte > high)
        return STATE_INVALID;
    return left == 1 ? 0 : STATE(left - 1, 0x80, 0xbf);
}

/* A vector, not an array: an array would have the stack protector's check in every call. */
typedef uint64_t words __attribute__((vector_size(32)));

/* How many bytes from `i` on, in whole blocks, are ASCII. */
static size_t skip_ascii(const uint8_t *bytes, size_t i, size_t length)
{
    words block;

    for (; i + sizeof block <= length; i += sizeof block) {
        memcpy(&block, bytes + i, sizeof block);
        if (((block[0] | block[1] | block[2] | block[3]) & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    return i;
}

bool ws_utf8_feed(struct ws_utf8 *utf8, const uint8_t *bytes, size_t length)
{
    uint32_t state = utf8->state;
    size_t i = 0;

    while (i < length) {
        if (state == 0) {
            i = skip_ascii(bytes, i, length);
            if (i == length)
                break;
        }
        state = state == 0 ? begin_character(bytes[i]) : continue_character(state, bytes[i]);
        if (state == STATE_INVALID)
            return false;
        i++;
    }
    utf8->state = state;
    return true;
}
