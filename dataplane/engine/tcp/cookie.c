#include "engine/tcp/cookie.h"

#include "flashrelay/clock.h"

/* Of each of the two hashes. */
#define HASH_BITS 12
#define LOW_BITS  8

static const uint8_t scales[COOKIE_SCALE_CLASSES] = {0, 0, 2, 4, 6, 7, 8, 9}; /* the first: none */

static void draw(struct siphash_key *key, struct random *random)
{
    key->words[0] = random ? random_next(random) : random_system_seed();
    key->words[1] = random ? random_next(random) : random_system_seed();
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

/* The hash of the addresses and of the cookie's low bits. */
static uint64_t hash_tuple(const struct siphash_key *key, const struct cookie_tuple *tuple, uint32_t low_bits)
{
    const struct {
        struct ip_address remote, local;
        uint16_t remote_port, local_port;
        uint32_t low_bits;
    } input = {tuple->remote, tuple->local, tuple->remote_port, tuple->local_port, low_bits};

    _Static_assert(sizeof input == 40, "all bytes are hashed, so there must be no padding");
    return siphash(key, &input, sizeof input);
}

/* The bits of a cookie above its low ones, from the hash of its tuple. */
static uint32_t high_bits(const struct siphash_key *key, uint64_t tuple_hash, uint32_t remote_sequence)
{
    const uint64_t input[2] = {tuple_hash, remote_sequence};

    return (uint32_t)(tuple_hash >> (64 - HASH_BITS)) << HASH_BITS |
           (uint32_t)(siphash(key, input, sizeof input) >> (64 - HASH_BITS));
}

uint32_t cookie_make(const struct cookie_keys *keys, const struct cookie_tuple *tuple, const struct cookie_options *options)
{
    uint32_t low_bits =
        (uint32_t)options->mss_class << 5 | scale_class(options) << 2 | (uint32_t)options->sack << 1 | keys->current;

    const struct siphash_key *key = &keys->keys[keys->current];

    return high_bits(key, hash_tuple(key, tuple, low_bits), tuple->remote_sequence) << LOW_BITS | low_bits;
}

enum cookie_verdict cookie_check(const struct cookie_keys *keys, const struct cookie_tuple *tuple, uint32_t cookie,
                                 struct cookie_options *options)
{
    unsigned number = cookie & 1, class = cookie >> 2 & (COOKIE_SCALE_CLASSES - 1);
    uint32_t low_bits = cookie & ((1u << LOW_BITS) - 1), expected;
    const struct siphash_key *key = &keys->keys[number];

    if (number != keys->current && !keys->previous_is_valid)
        return COOKIE_FOREIGN;
    expected = high_bits(key, hash_tuple(key, tuple, low_bits), tuple->remote_sequence);
    if (expected >> HASH_BITS != cookie >> (LOW_BITS + HASH_BITS))
        return COOKIE_FOREIGN;
    if (expected != cookie >> LOW_BITS)
        return COOKIE_TOO_EARLY;
    *options = (struct cookie_options){
        .mss_class = (uint8_t)(low_bits >> 5), .has_scale = class > 0, .scale = scales[class], .sack = (cookie >> 1 & 1) != 0};
    return COOKIE_VALID;
}
