/* Brotli of whole messages: what is JSON, round trips with and without an arena, every way a stream can be wrong, the memory bound. */
#include "flashrelay/brotli_codec.h"
#include "flashrelay/random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LARGEST = 32 << 20 };

struct brotli_buffers {
    struct brotli_arena *arena;
    uint8_t *plain, *packed, *unpacked;
    size_t packed_capacity;
};

static int set_up(void **state)
{
    struct brotli_buffers *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->packed_capacity = brotli_compressed_limit(LARGEST);
    f->plain = malloc(LARGEST);
    f->packed = malloc(f->packed_capacity);
    f->unpacked = malloc(LARGEST);
    assert_int_equal(brotli_arena_create(&f->arena), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct brotli_buffers *f = *state;

    brotli_arena_destroy(f->arena);
    free(f->plain);
    free(f->packed);
    free(f->unpacked);
    free(f);
    return 0;
}

/* Hexadecimal text of `length` digits: compresses to about half, as flashblocks do at their worst. */
static void fill_with_hex(uint8_t *bytes, size_t length, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t) "0123456789abcdef"[random_below(&random, 16)];
}

static void assert_round_trip(struct brotli_buffers *f, struct brotli_arena *arena, size_t length)
{
    size_t packed_length, unpacked_length;

    assert_int_equal(brotli_arena_compress(arena, f->plain, length, f->packed, brotli_compressed_limit(length), &packed_length),
                     0);
    assert_int_equal(brotli_arena_decompress(arena, f->packed, packed_length, f->unpacked, length, &unpacked_length), 0);
    assert_int_equal(unpacked_length, length);
    assert_memory_equal(f->unpacked, f->plain, length);
}

static void json_is_known_by_its_first_byte(void **state)
{
    (void)state;
    assert_true(message_is_json((const uint8_t *)"{}", 2));
    assert_true(message_is_json((const uint8_t *)" \t\r\n{", 5));
    assert_false(message_is_json((const uint8_t *)" \t\r\n{", 4));
    assert_false(message_is_json((const uint8_t *)"[{", 2));
    assert_false(message_is_json((const uint8_t *)"\v{", 2));
    assert_false(message_is_json((const uint8_t *)"{", 0));
}

static void round_trips(void **state)
{
    static const size_t lengths[] = {0, 1, 17, 1000, 25000, 250000, 1200000};
    struct brotli_buffers *f = *state;

    fill_with_hex(f->plain, LARGEST, 1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_round_trip(f, f->arena, lengths[i]);
        assert_round_trip(f, NULL, lengths[i]);
    }
}

static void the_arena_is_enough_for_the_largest_message_again_and_again(void **state)
{
    struct brotli_buffers *f = *state;

    fill_with_hex(f->plain, LARGEST, 2);
    assert_round_trip(f, f->arena, LARGEST);
    for (size_t i = 0; i < LARGEST; i++)
        f->plain[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_round_trip(f, f->arena, LARGEST);
}

static void incompressible_bytes_stay_under_the_limit(void **state)
{
    struct brotli_buffers *f = *state;
    struct random random;

    random_seed(&random, 7);
    for (size_t i = 0; i < LARGEST; i++)
        f->plain[i] = (uint8_t)random_next(&random);
    for (size_t length = 1; length <= LARGEST; length = length * 6 + 3)
        assert_round_trip(f, f->arena, length);
}

static void arena_and_malloc_give_the_same_bytes(void **state)
{
    struct brotli_buffers *f = *state;
    size_t by_arena, by_malloc;

    fill_with_hex(f->plain, 100000, 3);
    assert_int_equal(brotli_arena_compress(f->arena, f->plain, 100000, f->packed, f->packed_capacity, &by_arena), 0);
    assert_int_equal(brotli_compress(f->plain, 100000, f->unpacked, LARGEST, &by_malloc), 0);
    assert_int_equal(by_arena, by_malloc);
    assert_memory_equal(f->packed, f->unpacked, by_arena);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct brotli_buffers *f = *state;
    size_t packed, length = 12345;

    fill_with_hex(f->plain, 5000, 4);
    assert_int_equal(brotli_compress(f->plain, 5000, f->packed, 100, &length), -EMSGSIZE);
    assert_int_equal(brotli_compress(f->plain, 5000, f->packed, f->packed_capacity, &packed), 0);
    assert_int_equal(brotli_arena_decompress(f->arena, f->packed, packed, f->unpacked, 4999, &length), -EMSGSIZE);
    assert_int_equal(brotli_arena_decompress(f->arena, f->packed, packed, f->unpacked, 0, &length), -EMSGSIZE);
    assert_int_equal(length, 12345);
}

static void wrong_streams_are_refused(void **state)
{
    struct brotli_buffers *f = *state;
    size_t packed, length;

    fill_with_hex(f->plain, 5000, 5);
    assert_int_equal(brotli_compress(f->plain, 5000, f->packed, f->packed_capacity, &packed), 0);
    for (size_t cut = 0; cut < packed; cut++)
        assert_int_equal(brotli_arena_decompress(f->arena, f->packed, cut, f->unpacked, LARGEST, &length), -EBADMSG);
    f->packed[packed] = 0;
    assert_int_equal(brotli_arena_decompress(f->arena, f->packed, packed + 1, f->unpacked, LARGEST, &length), -EBADMSG);
    assert_int_equal(brotli_decompress((const uint8_t *)"not brotli at all", 17, f->unpacked, LARGEST, &length), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_known_by_its_first_byte),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(the_arena_is_enough_for_the_largest_message_again_and_again),
        cmocka_unit_test(incompressible_bytes_stay_under_the_limit),
        cmocka_unit_test(arena_and_malloc_give_the_same_bytes),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(wrong_streams_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
