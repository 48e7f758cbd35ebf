#include "flashrelay/ws.h"

#include <string.h>

/* 32 bytes, in one vector register or two, depending on the machine; at any alignment. */
typedef uint8_t block __attribute__((vector_size(32), aligned(1), may_alias));

void ws_mask(uint8_t *bytes, size_t length, const uint8_t mask[4], size_t phase)
{
    uint8_t rotated[sizeof(block)];
    block pattern;
    size_t i = 0;

    for (size_t k = 0; k < sizeof rotated; k++)
        rotated[k] = mask[(phase + k) & 3];
    memcpy(&pattern, rotated, sizeof pattern);
    for (; i + 2 * sizeof(block) <= length; i += 2 * sizeof(block)) {
        *(block *)(bytes + i) ^= pattern;
        *(block *)(bytes + i + sizeof(block)) ^= pattern;
    }
    for (; i < length; i++)
        bytes[i] ^= rotated[i & 3];
}
