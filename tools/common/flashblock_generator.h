/* Flashblocks as builders publish them (JSON), with made-up content that looks and compresses like the real one. */
#ifndef TOOLS_COMMON_FLASHBLOCK_GENERATOR_H
#define TOOLS_COMMON_FLASHBLOCK_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#define FLASHBLOCK_MAX_BYTES (16u << 20) /* largest that is generated */

struct flashblock_generator_options {
    uint64_t seed;      /* equal options give equal flashblocks, apart from their time stamps */
    size_t size_bytes;  /* of each, to within 1 % from 3 kB on; without transactions it has 1.1 kB, with a base 2.1 kB */
    unsigned per_block; /* flashblocks per block, index 0 included */
    uint64_t first_block_number;
};

struct flashblock {
    const char *text; /* the JSON; valid until the next flashblock is made */
    size_t length;
    uint64_t payload_id, block_number;
    unsigned index;
};

struct flashblock_generator;

/* Creates a generator. 0 or -ENOMEM. */
int flashblock_generator_create(struct flashblock_generator **out, const struct flashblock_generator_options *options);
void flashblock_generator_destroy(struct flashblock_generator *generator);

/* Makes the next flashblock. The generator owns it; it is valid until the next call. */
const struct flashblock *flashblock_generator_next(struct flashblock_generator *generator);

/* Skips an index: the next flashblock has an index one too high or, if the block has no higher index, begins the next block. */
void flashblock_generator_skip_index(struct flashblock_generator *generator);

/* Writes metadata.flashblock_timestamp (ns since 1970) into the flashblock made last. Receivers compute its age from it. */
void flashblock_generator_stamp(struct flashblock_generator *generator, uint64_t realtime_ns);

#endif
