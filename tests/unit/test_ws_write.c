/* Frames as they are written (RFC 6455, 5), and masking. */
#include "flashrelay/random.h"
#include "flashrelay/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The mask of the examples in RFC 6455, 5.7. */
static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

static void expect_header(uint64_t payload_length, const void *expected, size_t length)
{
    uint8_t header[WS_MAX_HEADER_BYTES];

    assert_int_equal(ws_write_header(header, WS_BINARY, payload_length, NULL), length);
    assert_memory_equal(header, expected, length);
    assert_int_equal(ws_write_header(header, WS_BINARY, payload_length, MASK), length + 4);
    assert_int_equal(header[1], ((const uint8_t *)expected)[1] | 0x80);
    assert_memory_equal(header + 2, (const uint8_t *)expected + 2, length - 2);
    assert_memory_equal(header + length, MASK, 4);
}

static void headers_have_the_shortest_length(void **state)
{
    (void)state;
    expect_header(0, "\x82\x00", 2);
    expect_header(125, "\x82\x7d", 2);
    expect_header(126, "\x82\x7e\x00\x7e", 4);
    expect_header(256, "\x82\x7e\x01\x00", 4);
    expect_header(65535, "\x82\x7e\xff\xff", 4);
    expect_header(65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
    expect_header(INT64_MAX, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
}

static void expect_control(uint8_t opcode, const char *payload, const uint8_t *mask, const void *expected, size_t length)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    assert_int_equal(ws_write_control(frame, opcode, payload, strlen(payload), mask), length);
    assert_memory_equal(frame, expected, length);
}

static void the_pings_of_the_rfc(void **state)
{
    (void)state;
    expect_control(WS_PING, "Hello", NULL, "\x89\x05Hello", 7);
    expect_control(WS_PONG, "Hello", MASK, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect_control(WS_PING, "", NULL, "\x89\x00", 2);
}

static void the_largest_control_frame(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], payload[WS_MAX_CONTROL_BYTES] = {0};

    (void)state;
    assert_int_equal(ws_write_control(frame, WS_PING, payload, sizeof payload, MASK), sizeof frame);
}

static void closes(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    (void)state;
    assert_int_equal(ws_write_close(frame, WS_CLOSE_GOING_AWAY, "bye", NULL), 7);
    assert_memory_equal(frame,
                        "\x88\x05\x03\xe9"
                        "bye",
                        7);
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NORMAL, "", MASK), 8);
    assert_memory_equal(frame, "\x88\x82\x37\xfa\x21\x3d\x34\x12", 8);
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NORMAL, NULL, NULL), 4);
    assert_memory_equal(frame, "\x88\x02\x03\xe8", 4);
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NO_STATUS, NULL, NULL), 2);
    assert_memory_equal(frame, "\x88\x00", 2);
}

static void long_reasons_are_cut_at_a_character(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    char reason[200];

    (void)state;
    memset(reason, 'a', sizeof reason);
    reason[199] = 0;
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NORMAL, reason, NULL), 2 + 125);
    memcpy(reason + 121, "\xe2\x82\xac", 3); /* a euro sign across the limit of 123 bytes */
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NORMAL, reason, NULL), 2 + 2 + 121);
    assert_int_equal(frame[1], 123);
    memcpy(reason + 120,
           "\xe2\x82\xac"
           "a",
           4); /* the euro sign ends at the limit */
    assert_int_equal(ws_write_close(frame, WS_CLOSE_NORMAL, reason, NULL), 2 + 2 + 123);
}

static void close_codes(void **state)
{
    static const uint16_t VALID[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                     1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const uint16_t INVALID[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};

    (void)state;
    for (size_t i = 0; i < sizeof VALID / sizeof *VALID; i++)
        assert_true(ws_close_code_is_valid(VALID[i]));
    for (size_t i = 0; i < sizeof INVALID / sizeof *INVALID; i++)
        assert_false(ws_close_code_is_valid(INVALID[i]));
}

/* Compares masking with its definition for every phase, many offsets and all lengths up to 200 bytes; the bytes around stay unchanged. */
static void masking_at_any_alignment(void **state)
{
    uint8_t plain[300], masked[300];
    struct random random;

    (void)state;
    random_seed(&random, 1);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)random_next(&random);
    for (size_t offset = 0; offset < 34; offset++)
        for (size_t length = 0; length + offset <= 200; length++)
            for (size_t phase = 0; phase < 4; phase++) {
                memcpy(masked, plain, sizeof plain);
                ws_mask(masked + offset, length, MASK, phase);
                for (size_t i = 0; i < sizeof plain; i++) {
                    bool inside = i >= offset && i < offset + length;
                    uint8_t expected = inside ? plain[i] ^ MASK[(phase + i - offset) & 3] : plain[i];

                    if (masked[i] != expected) /* cmocka's own checks are too slow for millions */
                        fail_msg("byte %zu of %zu at %zu, phase %zu", i, length, offset, phase);
                }
            }
}

static void a_mask_goes_on_at_its_phase(void **state)
{
    uint8_t whole[100] = {0}, parts[100] = {0};

    (void)state;
    ws_mask(whole, sizeof whole, MASK, 0);
    ws_mask(parts, 33, MASK, 0);
    ws_mask(parts + 33, sizeof parts - 33, MASK, 33);
    assert_memory_equal(whole, parts, sizeof whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_have_the_shortest_length),
        cmocka_unit_test(the_pings_of_the_rfc),
        cmocka_unit_test(the_largest_control_frame),
        cmocka_unit_test(closes),
        cmocka_unit_test(long_reasons_are_cut_at_a_character),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(masking_at_any_alignment),
        cmocka_unit_test(a_mask_goes_on_at_its_phase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
