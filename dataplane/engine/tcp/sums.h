/*
 * Checksums of payload that many connections share. A frame is cut at multiples of the segment size from its own first byte, so all
 * connections of one segment size send the same segments: each is summed once. A cache with one place per hash; what it has lost is summed
 * again. One thread.
 */
#ifndef DATAPLANE_ENGINE_TCP_SUMS_H
#define DATAPLANE_ENGINE_TCP_SUMS_H

#include <stdint.h>

#define SUMS_BLOCKS         512
#define SUMS_BLOCK_SEGMENTS 64

/* The sums of consecutive segments of one frame. */
struct sums_block {
    uint64_t sequence; /* of the frame; 0: the block is empty */
    uint64_t known;    /* one bit per segment */
    uint32_t first;    /* number of the first segment within its frame */
    uint16_t channel, mss;
    uint16_t sums[SUMS_BLOCK_SEGMENTS];
};

struct sums {
    struct sums_block *blocks;
};

/* Which segment of which frame. */
struct sums_key {
    uint64_t sequence;
    uint16_t channel, mss;
};

/* 0 or -ENOMEM. */
int sums_init(struct sums *sums);
void sums_dispose(struct sums *sums);

/* The block that has, or will have, the sum of segment number `segment`. */
struct sums_block *sums_find(struct sums *sums, const struct sums_key *key, uint32_t segment);

/* As sums_of, for a segment that was not summed yet. */
uint16_t sums_add(struct sums_block *block, uint32_t place, const uint8_t *bytes, uint32_t length);

/* The folded sum of segment number `segment`, whose `length` bytes are at `bytes`; `block` comes from sums_find. */
static inline uint16_t sums_of(struct sums_block *block, uint32_t segment, const uint8_t *bytes, uint32_t length)
{
    uint32_t place = segment - block->first;

    return (block->known >> place & 1) != 0 ? block->sums[place] : sums_add(block, place, bytes, length);
}

#endif
