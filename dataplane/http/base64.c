#include "http/base64.h"

#include <stdint.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char *out, const void *bytes, size_t length)
{
    const uint8_t *in = bytes;

    for (; length != 0; out += 4) {
        size_t taken = length < 3 ? length : 3;
        uint32_t group = (uint32_t)in[0] << 16;

        if (taken > 1)
            group |= (uint32_t)in[1] << 8;
        if (taken > 2)
            group |= in[2];
        out[0] = ALPHABET[group >> 18];
        out[1] = ALPHABET[group >> 12 & 63];
        out[2] = taken > 1 ? ALPHABET[group >> 6 & 63] : '=';
        out[3] = taken > 2 ? ALPHABET[group & 63] : '=';
        in += taken;
        length -= taken;
    }
    *out = '\0';
}
