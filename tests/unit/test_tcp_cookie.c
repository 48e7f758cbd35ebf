#include "engine/tcp/cookie.h"

#include "flashrelay/clock.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct random generator;
static struct cookie_keys keys;
static struct cookie_tuple tuple;

static int begin(void **state)
{
    (void)state;
    random_seed(&generator, 7);
    cookie_keys_init(&keys, &generator, NS_PER_S);
    tuple = (struct cookie_tuple){.remote = ip_of("192.0.2.2"),
                                  .local = ip_of("192.0.2.1"),
                                  .remote_port = 40000,
                                  .local_port = 8545,
                                  .remote_sequence = 0xfffffff0};
    return 0;
}

static bool is_accepted(uint32_t cookie)
{
    struct cookie_options options;

    return cookie_check(&keys, &tuple, cookie, &options) == COOKIE_VALID;
}

static void every_class_comes_back(void **state)
{
    static const uint8_t rounded[15] = {0, 0, 2, 2, 4, 4, 6, 7, 8, 9, 9, 9, 9, 9, 9};
    unsigned checked = 0;

    (void)state;
    for (uint8_t class = 0; class < COOKIE_MSS_CLASSES; class ++)
        for (unsigned sack = 0; sack < 2; sack++)
            for (int scale = -1; scale < 15; scale++) {
                const struct cookie_options wanted = {
                    .mss_class = class, .has_scale = scale >= 0, .scale = scale >= 0 ? (uint8_t)scale : 0, .sack = sack != 0};
                struct cookie_options agreed;

                assert_int_equal(cookie_check(&keys, &tuple, cookie_make(&keys, &tuple, &wanted), &agreed), COOKIE_VALID);
                assert_int_equal(agreed.mss_class, class);
                assert_int_equal(agreed.has_scale, scale >= 0);
                assert_int_equal(agreed.scale, scale >= 0 ? rounded[scale] : 0);
                assert_int_equal(agreed.sack, sack);
                checked++;
            }
    assert_int_equal(checked, 8 * 2 * 16);
}

/* Each bit of the addresses, ports and the peer's sequence number counts. */
static void a_cookie_of_another_tuple_is_refused(void **state)
{
    const struct cookie_options options = {.mss_class = 6, .has_scale = true, .scale = 7, .sack = true};
    uint32_t cookie = cookie_make(&keys, &tuple, &options);

    (void)state;
    assert_true(is_accepted(cookie));
    for (unsigned bit = 0; bit < 8 * sizeof tuple; bit++) {
        uint8_t *byte = (uint8_t *)&tuple + bit / 8;

        *byte ^= (uint8_t)(1u << bit % 8);
        assert_false(is_accepted(cookie));
        *byte ^= (uint8_t)(1u << bit % 8);
    }
}

/* The options are hashed, too: a peer cannot choose others than it was given. */
static void a_cookie_with_any_bit_changed_is_refused(void **state)
{
    const struct cookie_options options = {.mss_class = 3, .sack = true};
    uint32_t cookie = cookie_make(&keys, &tuple, &options);

    (void)state;
    cookie_keys_refresh(&keys, &generator, NS_PER_S + COOKIE_KEY_NS); /* both keys are valid */
    assert_true(is_accepted(cookie));
    for (unsigned bit = 0; bit < 32; bit++)
        assert_false(is_accepted(cookie ^ 1u << bit));
}

/* Whoever does not know the peer's sequence number has a cookie of the connection, which opens nothing. */
static void a_segment_that_overtakes_the_first_is_told_from_a_foreign_one(void **state)
{
    const struct cookie_options options = {.mss_class = 6};
    uint32_t cookie = cookie_make(&keys, &tuple, &options);
    struct cookie_options agreed;

    (void)state;
    tuple.remote_sequence += 100;
    assert_int_equal(cookie_check(&keys, &tuple, cookie, &agreed), COOKIE_TOO_EARLY);
    tuple.remote_port++;
    assert_int_equal(cookie_check(&keys, &tuple, cookie, &agreed), COOKIE_FOREIGN);
}

static void a_cookie_of_other_keys_is_refused(void **state)
{
    const struct cookie_options options = {0};
    struct cookie_keys others;

    (void)state;
    cookie_keys_init(&others, &generator, NS_PER_S);
    assert_false(is_accepted(cookie_make(&others, &tuple, &options)));
}

/* Refreshes at `after_ns` from the first key on, as every use does. */
static void refresh(uint64_t after_ns)
{
    cookie_keys_refresh(&keys, &generator, NS_PER_S + after_ns);
}

static void a_cookie_lives_for_30_to_60_s(void **state)
{
    const struct cookie_options options = {0};
    uint32_t first = cookie_make(&keys, &tuple, &options), late;

    (void)state;
    refresh(COOKIE_KEY_NS - 1);
    late = cookie_make(&keys, &tuple, &options);
    assert_int_equal(late, first);
    refresh(COOKIE_KEY_NS);
    assert_true(is_accepted(late));
    assert_int_not_equal(cookie_make(&keys, &tuple, &options), late);
    refresh(2 * COOKIE_KEY_NS - 1);
    assert_true(is_accepted(late));
    refresh(2 * COOKIE_KEY_NS);
    assert_false(is_accepted(late));
}

static void after_a_long_pause_no_old_cookie_is_accepted(void **state)
{
    const struct cookie_options options = {0};
    uint32_t cookie = cookie_make(&keys, &tuple, &options);

    (void)state;
    refresh(2 * COOKIE_KEY_NS);
    assert_false(is_accepted(cookie));
    assert_true(is_accepted(cookie_make(&keys, &tuple, &options)));
}

static void before_the_first_rotation_there_is_one_key(void **state)
{
    unsigned accepted = 0;

    (void)state;
    for (uint32_t guess = 0; guess < 1 << 16; guess++)
        accepted += is_accepted(guess << 8 | 1); /* the low bit names the key that was never drawn */
    assert_int_equal(accepted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_class_comes_back, begin),
        cmocka_unit_test_setup(a_cookie_of_another_tuple_is_refused, begin),
        cmocka_unit_test_setup(a_cookie_with_any_bit_changed_is_refused, begin),
        cmocka_unit_test_setup(a_segment_that_overtakes_the_first_is_told_from_a_foreign_one, begin),
        cmocka_unit_test_setup(a_cookie_of_other_keys_is_refused, begin),
        cmocka_unit_test_setup(a_cookie_lives_for_30_to_60_s, begin),
        cmocka_unit_test_setup(after_a_long_pause_no_old_cookie_is_accepted, begin),
        cmocka_unit_test_setup(before_the_first_rotation_there_is_one_key, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
