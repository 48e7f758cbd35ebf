/* Checksums against a loop that follows RFC 1071 word by word, and the cache of payloads' sums. */
#include "engine/tcp/checksum.h"
#include "engine/tcp/sums.h"

#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST_BYTES 9000

static uint8_t bytes[MOST_BYTES + 16];

static int draw_bytes(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 5);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random_next(&random);
    return 0;
}

/* The checksum in network byte order. */
static uint16_t naive(const uint8_t *at, size_t length)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static uint16_t in_network_order(uint16_t value)
{
    uint8_t copy[2];

    memcpy(copy, &value, sizeof copy);
    return (uint16_t)(copy[0] << 8 | copy[1]);
}

static void all_lengths_at_all_addresses(void **state)
{
    (void)state;
    for (size_t length = 0; length < 200; length++)
        for (size_t offset = 0; offset < 16; offset++)
            assert_int_equal(in_network_order(checksum_end(checksum_add(bytes + offset, length))), naive(bytes + offset, length));
    for (size_t length = 1400; length < MOST_BYTES; length += 333)
        assert_int_equal(in_network_order(checksum_end(checksum_add(bytes, length))), naive(bytes, length));
}

static void carries_are_not_lost(void **state)
{
    static uint8_t ones[MOST_BYTES];

    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (size_t length = 0; length < MOST_BYTES; length += 7)
        assert_int_equal(in_network_order(checksum_end(checksum_add(ones, length))), naive(ones, length));
    assert_int_equal(checksum_fold(UINT64_MAX), UINT16_MAX);
    assert_int_equal(checksum_fold(0x10000), 1);
    assert_int_equal(checksum_fold(0), 0);
}

static void sums_of_even_parts_add_up(void **state)
{
    (void)state;
    for (size_t part = 0; part < 300; part += 2)
        assert_int_equal(checksum_fold(checksum_add(bytes, part) + checksum_add(bytes + part, 301 - part)),
                         checksum_fold(checksum_add(bytes, 301)));
}

static void many_sums_may_be_added_before_folding(void **state)
{
    uint64_t sum = 0;
    uint32_t expected = 0;

    (void)state;
    for (unsigned i = 0; i < 1 << 16; i++) {
        sum += checksum_add(bytes, 1460);
        expected += checksum_fold(checksum_add(bytes, 1460));
        expected = (expected & 0xffff) + (expected >> 16);
    }
    assert_int_equal(checksum_fold(sum), expected);
}

/* --- the cache --- */

static uint16_t cached(struct sums *sums, const struct sums_key *key, uint32_t segment, const uint8_t *at, uint32_t length)
{
    return sums_of(sums_find(sums, key, segment), segment, at, length);
}

static void a_segment_is_summed_once(void **state)
{
    const struct sums_key key = {.sequence = 9, .channel = 0, .mss = 1440};
    struct sums sums;
    uint16_t first;

    (void)state;
    assert_int_equal(sums_init(&sums), 0);
    first = cached(&sums, &key, 2, bytes, 1440);
    assert_int_equal(first, checksum_fold(checksum_add(bytes, 1440)));
    bytes[0] ^= 1; /* a new sum would differ */
    assert_int_equal(cached(&sums, &key, 2, bytes, 1440), first);
    assert_int_not_equal(cached(&sums, &key, 3, bytes, 1440), first);
    bytes[0] ^= 1;
    sums_dispose(&sums);
}

/* Whatever shares a place in the cache, the sum is that of the segment that is asked for. */
static void sums_of_other_frames_channels_and_sizes_are_not_mixed(void **state)
{
    struct random random;
    struct sums sums;

    (void)state;
    random_seed(&random, 11);
    assert_int_equal(sums_init(&sums), 0);
    for (unsigned i = 0; i < 200000; i++) {
        const struct sums_key key = {.sequence = 1 + random_below(&random, 2000),
                                     .channel = (uint16_t)random_below(&random, 3),
                                     .mss = (uint16_t)(random_below(&random, 2) == 0 ? 1220 : 1460)};
        uint32_t segment = (uint32_t)random_below(&random, 200);
        /* Bytes that belong to the segment alone. */
        uint64_t content[4] = {key.sequence, key.channel, key.mss, segment};

        assert_int_equal(cached(&sums, &key, segment, (const uint8_t *)content, sizeof content),
                         checksum_fold(checksum_add(content, sizeof content)));
    }
    sums_dispose(&sums);
}

/* Asks for the sum of other bytes under a key that shares the first one's place, if it does. */
static bool is_told_apart(struct sums *sums, const struct sums_key *key, const struct sums_key *other)
{
    const struct sums_block *block = sums_find(sums, key, 0);
    uint16_t first = cached(sums, key, 0, bytes, 100);

    if (sums_find(sums, other, 0) != block)
        return false;
    assert_int_not_equal(cached(sums, other, 0, bytes + 100, 100), first);
    return true;
}

static void keys_that_share_a_place_are_told_apart(void **state)
{
    const struct sums_key key = {.sequence = 9, .channel = 1, .mss = 1440};
    unsigned sizes = 0, channels = 0, sequences = 0;
    struct sums sums;

    (void)state;
    assert_int_equal(sums_init(&sums), 0);
    for (uint16_t i = 1; i < 8000; i++) {
        struct sums_key other = key;

        other.mss = (uint16_t)(key.mss + i);
        if (is_told_apart(&sums, &key, &other))
            sizes++;
        other = key;
        other.channel = (uint16_t)(key.channel + i);
        if (is_told_apart(&sums, &key, &other))
            channels++;
        other = key;
        other.sequence += i;
        if (is_told_apart(&sums, &key, &other))
            sequences++;
    }
    assert_true(sizes > 0 && channels > 0 && sequences > 0);
    sums_dispose(&sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_lengths_at_all_addresses, draw_bytes),
        cmocka_unit_test_setup(carries_are_not_lost, draw_bytes),
        cmocka_unit_test_setup(sums_of_even_parts_add_up, draw_bytes),
        cmocka_unit_test_setup(many_sums_may_be_added_before_folding, draw_bytes),
        cmocka_unit_test_setup(a_segment_is_summed_once, draw_bytes),
        cmocka_unit_test_setup(sums_of_other_frames_channels_and_sizes_are_not_mixed, draw_bytes),
        cmocka_unit_test_setup(keys_that_share_a_place_are_told_apart, draw_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
