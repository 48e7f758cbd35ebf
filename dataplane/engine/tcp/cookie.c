#include "engine/tcp/cookie.h"

#include "flashrelay/clock.h"

#define HASH_BITS 24

static const uint8_t scales[COOKIE_SCALE_CLASSES] = {0, 0, 2, 4, 6, 7, 8, 9}; /* the first: none */

static void draw(struct siphash_key *key, struct random *random)
{
    key->words[0] = random_next(random);
    key->words[1] = random_next(random);
}

void cookie_keys_init(struct cookie_keys *keys, struct random *random, uint64_t now_ns)
{
    *keys = (struct cookie_keys){.drawn_ns = now_ns};
    draw(&keys->keys[0], random);
}

void cookie_keys_refresh(struct cookie_keys *keys, struct random *random, uint64_t now_ns)
{
    if (now_ns - keys->drawn_ns < COOKIE_KEY_NS)
        return;
    /* After a pause of two lives the previous key is too old, too. */
    keys->previous_is_valid = now_ns - keys->drawn_ns < 2 * COOKIE_KEY_NS;
    keys->current ^= 1;
    keys->drawn_ns = now_ns;
    draw(&keys->keys[keys->current], random);
}

static unsigned scale_class(const struct cookie_options *options)
{
    unsigned class = COOKIE_SCALE_CLASSES - 1;

    if (!options->has_scale)
        return 0;
    while (scales[class] > options->scale)
        class --;
    return class;
}

static uint32_t hash(const struct siphash_key *key, const struct cookie_tuple *tuple, uint32_t low_bits)
{
    struct {
        struct cookie_tuple tuple;
        uint32_t low_bits, zero;
    } input = {.tuple = *tuple, .low_bits = low_bits};

    return (uint32_t)(siphash(key, &input, sizeof input) >> (64 - HASH_BITS));
}

uint32_t cookie_make(const struct cookie_keys *keys, const struct cookie_tuple *tuple, const struct cookie_options *options)
{
    uint32_t low_bits =
        (uint32_t)options->mss_class << 5 | scale_class(options) << 2 | (uint32_t)options->sack << 1 | keys->current;

    return hash(&keys->keys[keys->current], tuple, low_bits) << 8 | low_bits;
}

bool cookie_check(const struct cookie_keys *keys, const struct cookie_tuple *tuple, uint32_t cookie,
                  struct cookie_options *options)
{
    unsigned key = cookie & 1, class = cookie >> 2 & (COOKIE_SCALE_CLASSES - 1);
    uint32_t low_bits = cookie & 0xff;

    if (key != keys->current && !keys->previous_is_valid)
        return false;
    if (hash(&keys->keys[key], tuple, low_bits) != cookie >> 8)
        return false;
    *options = (struct cookie_options){
        .mss_class = (uint8_t)(low_bits >> 5), .has_scale = class > 0, .scale = scales[class], .sack = (cookie >> 1 & 1) != 0};
    return true;
}
