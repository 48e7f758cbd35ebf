/* What builders send. */
#include "flashrelay/brotli_codec.h"
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 4 /* of a frame of 126 to 65,535 bytes */

/* Most messages are small, a few nearly as large as may be. */
static size_t draw_length(struct sim_world *world)
{
    uint64_t most = world->plan.payload_bytes, grain = world->plan.grain_bytes;
    uint64_t length = between(&world->random, 64, random_below(&world->random, 4) == 0 ? most : most / 8 + 64);

    if (grain == 0)
        return length;
    length = (length / grain + 1) * grain - HEADER_BYTES + random_below(&world->random, 2);
    return length < most ? length : most;
}

struct content *content_create(struct sim_world *world, bool shared)
{
    struct content *content = calloc(1, sizeof *content);
    size_t length = draw_length(world);
    int head;

    content->shared = shared;
    content->bytes = malloc(length + 1);
    head = snprintf((char *)content->bytes, length, "{\"payload_id\":\"0x%016llx\",\"index\":%zu,\"x\":\"",
                    (unsigned long long)world->plan.seed, world->content_count);
    for (size_t i = (size_t)head; i < length; i++)
        content->bytes[i] = (uint8_t)('a' + (random_next(&world->random) & 15));
    memcpy(content->bytes + length - 2, "\"}", 2);
    content->length = length;
    world->contents[world->content_count++] = content;
    return content;
}

void content_pack(struct content *content)
{
    size_t limit = brotli_compressed_limit(content->length);

    if (content->brotli)
        return;
    content->brotli = malloc(limit);
    if (brotli_compress(content->bytes, content->length, content->brotli, limit, &content->brotli_length) != 0)
        abort();
}

void contents_destroy(struct sim_world *world)
{
    for (size_t i = 0; i < world->content_count; i++) {
        free(world->contents[i]->bytes);
        free(world->contents[i]->brotli);
        free(world->contents[i]);
    }
    free(world->contents);
}
