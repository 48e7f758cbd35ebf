#include "flashrelay/http.h"

#include <errno.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that `text` begins with, decoded, and how many characters it takes: 1 or 3. -EINVAL for a bad escape. */
static int decode_one(struct http_text text, size_t *taken)
{
    int high, low;

    *taken = 1;
    if (text.text[0] != '%')
        return (unsigned char)text.text[0];
    if (text.length < 3)
        return -EINVAL;
    *taken = 3;
    high = hex_digit(text.text[1]);
    low = hex_digit(text.text[2]);
    return high < 0 || low < 0 ? -EINVAL : high << 4 | low;
}

long http_percent_decode(struct http_text text, char *out, size_t capacity)
{
    size_t written = 0;

    while (text.length != 0) {
        size_t taken;
        int byte = decode_one(text, &taken);

        if (byte < 0)
            return byte;
        if (written == capacity)
            return -ENOSPC;
        out[written++] = (char)byte;
        text.text += taken;
        text.length -= taken;
    }
    return (long)written;
}
