#include "engine/tcp/sums.h"

#include "engine/tcp/checksum.h"

#include <errno.h>
#include <stdlib.h>

int sums_init(struct sums *sums)
{
    sums->blocks = calloc(SUMS_BLOCKS, sizeof *sums->blocks);
    return sums->blocks ? 0 : -ENOMEM;
}

void sums_dispose(struct sums *sums)
{
    free(sums->blocks);
    sums->blocks = NULL;
}

struct sums_block *sums_find(struct sums *sums, const struct sums_key *key, uint32_t segment)
{
    uint32_t first = segment - segment % SUMS_BLOCK_SEGMENTS;
    uint64_t hash =
        (key->sequence * 31 + key->mss + (uint64_t)key->channel * 7 + first / SUMS_BLOCK_SEGMENTS) * 0x9e3779b97f4a7c15;
    struct sums_block *block = &sums->blocks[hash >> 55];

    _Static_assert(SUMS_BLOCKS == 1 << (64 - 55), "the hash's top bits choose the block");
    if (block->sequence != key->sequence || block->first != first || block->mss != key->mss || block->channel != key->channel) {
        block->sequence = key->sequence;
        block->first = first;
        block->mss = key->mss;
        block->channel = key->channel;
        block->known = 0;
    }
    return block;
}

uint16_t sums_add(struct sums_block *block, uint32_t place, const uint8_t *bytes, uint32_t length)
{
    block->sums[place] = checksum_fold(checksum_add(bytes, length));
    block->known |= UINT64_C(1) << place;
    return block->sums[place];
}
