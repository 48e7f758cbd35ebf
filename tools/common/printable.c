#include "common/printable.h"

#include "flashrelay/ws.h"

#include <stdbool.h>

#define LONGEST_CHARACTER 4

/* Length of the UTF-8 character that `bytes` begin with; 0 if there is none. */
static size_t character_length(const uint8_t *bytes, size_t length)
{
    struct ws_utf8 utf8 = {0};

    for (size_t i = 0; i < length && i < LONGEST_CHARACTER; i++) {
        if (!ws_utf8_feed(&utf8, bytes + i, 1))
            return 0;
        if (utf8.state == 0)
            return i + 1;
    }
    return 0;
}

/* The code point of a character of up to three bytes. Characters of four bytes are no controls, and give 0xffff. */
static unsigned code_point(const uint8_t *bytes, size_t length)
{
    switch (length) {
    case 1:
        return bytes[0];
    case 2:
        return (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3fu);
    case 3:
        return (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
    default:
        return 0xffff;
    }
}

/* Controls of writing direction: Unicode Standard Annex 9, 2. */
static bool is_bidirectional_control(unsigned point)
{
    return point == 0x061c || point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

static bool is_control(unsigned point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           is_bidirectional_control(point);
}

void printable_add(struct text *text, const char *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + length;

    while (at < end) {
        size_t taken = character_length(at, (size_t)(end - at));
        unsigned point = code_point(at, taken);

        if (taken == 0)
            text_format(text, "\\x%02x", *at++);
        else if (is_control(point))
            text_format(text, "\\u%04x", point);
        else
            text_add(text, (const char *)at, taken);
        at += taken;
    }
}
