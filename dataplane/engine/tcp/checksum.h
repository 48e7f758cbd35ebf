/*
 * The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in memory, so they are the same on machines of either byte order.
 * A partial sum is not folded: up to 2^16 of them may be added.
 */
#ifndef DATAPLANE_ENGINE_TCP_CHECKSUM_H
#define DATAPLANE_ENGINE_TCP_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The sum of `length` bytes; an odd last byte counts as if a zero followed. */
static inline uint64_t checksum_add(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t sum = 0, even = 0, odd = 0;

    for (; length >= 16; at += 16, length -= 16) {
        uint32_t words[4];

        memcpy(words, at, sizeof words);
        even += (uint64_t)words[0] + words[2];
        odd += (uint64_t)words[1] + words[3];
    }
    for (; length >= 2; at += 2, length -= 2) {
        uint16_t word;

        memcpy(&word, at, sizeof word);
        sum += word;
    }
    if (length > 0) {
        uint16_t word = 0;

        memcpy(&word, at, 1);
        sum += word;
    }
    /* Sums of up to 2^28 words of 32 bits each: folded once, they leave room for later additions. */
    even = (even & UINT32_MAX) + (even >> 32);
    odd = (odd & UINT32_MAX) + (odd >> 32);
    return sum + even + odd;
}

/* Folds a sum to 16 bits. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

/* The checksum field's value for a sum. */
static inline uint16_t checksum_end(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

#endif
