/* UTF-8 (RFC 3629): every character, every fault, at every place of a block, and as early as it can be known. */
#include "flashrelay/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    if (character < 0x800) {
        out[0] = (uint8_t)(0xc0 | character >> 6);
        out[1] = (uint8_t)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        out[0] = (uint8_t)(0xe0 | character >> 12);
        out[1] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (character & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | character >> 18);
    out[1] = (uint8_t)(0x80 | (character >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (character & 0x3f));
    return 4;
}

static void every_character_but_no_surrogate(void **state)
{
    uint8_t bytes[4];

    (void)state;
    for (uint32_t character = 0; character < 0x120000; character++) {
        bool expected = character < 0x110000 && (character < 0xd800 || character > 0xdfff);
        struct ws_utf8 utf8 = {0};
        bool valid = ws_utf8_feed(&utf8, bytes, encode(character, bytes)) && utf8.state == 0;

        if (valid != expected)
            fail_msg("U+%x", character);
    }
}

/*
 * Feeds `bytes` one by one, and all at once to compare: both must be refused, or neither. Returns the length of the shortest beginning that
 * is refused, 0 if none is.
 */
static size_t refused_at(const char *bytes, size_t length)
{
    struct ws_utf8 whole = {0}, parts = {0};
    bool valid = ws_utf8_feed(&whole, (const uint8_t *)bytes, length);

    for (size_t i = 0; i < length; i++)
        if (!ws_utf8_feed(&parts, (const uint8_t *)bytes + i, 1)) {
            assert_false(valid);
            return i + 1;
        }
    assert_true(valid);
    assert_int_equal(whole.state, parts.state);
    return 0;
}

static void faults_are_seen_at_the_first_wrong_byte(void **state)
{
    (void)state;
    assert_int_equal(refused_at("a\x80", 2), 2);    /* continuation without a first byte */
    assert_int_equal(refused_at("\xc0\x80", 2), 1); /* overlong in two bytes */
    assert_int_equal(refused_at("\xc1\xbf", 2), 1);
    assert_int_equal(refused_at("\xe0\x9f\xbf", 3), 2);     /* overlong in three */
    assert_int_equal(refused_at("\xf0\x8f\xbf\xbf", 4), 2); /* overlong in four */
    assert_int_equal(refused_at("\xed\xa0\x80", 3), 2);     /* surrogate */
    assert_int_equal(refused_at("\xf4\x90\x80\x80", 4), 2); /* above U+10FFFF */
    assert_int_equal(refused_at("\xf5\x80\x80\x80", 4), 1);
    assert_int_equal(refused_at("\xff", 1), 1);
    assert_int_equal(refused_at("\xe2\x82"
                                "a",
                                3),
                     3); /* a continuation byte is missing */
    assert_int_equal(refused_at("\xe2\x82\xe2", 3), 3);
    assert_int_equal(refused_at("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65", 14), 13);
}

static void a_text_that_ends_within_a_character(void **state)
{
    struct ws_utf8 utf8 = {0};

    (void)state;
    assert_true(ws_utf8_feed(&utf8, (const uint8_t *)"\xe2\x82", 2));
    assert_int_not_equal(utf8.state, 0);
    assert_true(ws_utf8_feed(&utf8, (const uint8_t *)"\xac", 1));
    assert_int_equal(utf8.state, 0);
}

static void every_place_in_a_block(void **state)
{
    uint8_t bytes[200];

    (void)state;
    for (size_t i = 0; i + 2 <= sizeof bytes; i++) {
        struct ws_utf8 good = {0}, bad = {0};

        memset(bytes, 'a', sizeof bytes);
        memcpy(bytes + i, "\xc3\xa9", 2);
        assert_true(ws_utf8_feed(&good, bytes, sizeof bytes));
        assert_int_equal(good.state, 0);
        bytes[i + 1] = 'a';
        assert_false(ws_utf8_feed(&bad, bytes, sizeof bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_but_no_surrogate),
        cmocka_unit_test(faults_are_seen_at_the_first_wrong_byte),
        cmocka_unit_test(a_text_that_ends_within_a_character),
        cmocka_unit_test(every_place_in_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
