/* The messages that builders send. */
#include "flashrelay/brotli_codec.h"
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES   4 /* of a frame of 126 to 65,535 bytes */
#define SMALLEST_BYTES 64
#define BOMB_BYTES     (3u << 20)

/* Most messages are small, a few nearly as large as the plan allows. */
static size_t draw_length(struct sim_world *world)
{
    uint64_t most = world->plan.payload_bytes, grain = world->plan.grain_bytes;
    uint64_t length =
        between(&world->random, SMALLEST_BYTES, random_below(&world->random, 4) == 0 ? most : most / 8 + SMALLEST_BYTES);

    if (grain == 0)
        return length;
    length = (length / grain + 1) * grain - HEADER_BYTES + random_below(&world->random, 2);
    return length < most ? length : most;
}

/* Creates JSON of `length` bytes, filled up with letters that are drawn from the first `letters`. */
static struct content *create(struct sim_world *world, size_t length, unsigned letters)
{
    struct content *content = calloc(1, sizeof *content);
    int head;

    content->bytes = malloc(length + 1);
    head = snprintf((char *)content->bytes, length, "{\"payload_id\":\"0x%016llx\",\"index\":%zu,\"x\":\"",
                    (unsigned long long)world->plan.seed, world->content_count);
    for (size_t i = (size_t)head; i < length; i++)
        content->bytes[i] = (uint8_t)('a' + (letters > 1 ? random_next(&world->random) % letters : 0));
    memcpy(content->bytes + length - 2, "\"}", 2);
    content->length = length;
    world->contents[world->content_count++] = content;
    return content;
}

struct content *content_create(struct sim_world *world, bool shared)
{
    struct content *content = create(world, draw_length(world), 16);

    content->shared = shared;
    return content;
}

struct content *content_create_tiny(struct sim_world *world)
{
    return create(world, SMALLEST_BYTES, 16);
}

struct content *content_create_bomb(struct sim_world *world, bool is_too_big)
{
    size_t limit = world->plan.max_message_bytes;
    size_t length = random_below(&world->random, 2) == 0 ? limit + 1 : BOMB_BYTES;
    struct content *content = create(world, is_too_big ? length : limit, 1);

    content->is_bomb = true;
    content->is_too_big = is_too_big;
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
