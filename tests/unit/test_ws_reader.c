/* Reading frames (RFC 6455, 5) in both roles: the same events come whatever the size of the pieces in which frames are read. */
#include "flashrelay/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_MESSAGE_BYTES 100000

struct event_transcript {
    char text[4096];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void note(struct event_transcript *transcript, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    transcript->length +=
        (size_t)vsnprintf(transcript->text + transcript->length, sizeof transcript->text - transcript->length, format, arguments);
    va_end(arguments);
    assert_true(transcript->length < sizeof transcript->text);
}

/* Adds an event to the transcript; the pieces of a message are written as if they were one. */
static void note_event(struct event_transcript *transcript, const struct ws_event *event)
{
    int length = (int)event->length;
    const char *bytes = (const char *)event->bytes;

    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        note(transcript, "%.*s%s", length, bytes, event->last ? event->opcode == WS_TEXT ? " is text; " : " is binary; " : "");
        break;
    case WS_EVENT_PING:
        note(transcript, "ping(%.*s); ", length, bytes);
        break;
    case WS_EVENT_PONG:
        note(transcript, "pong(%.*s); ", length, bytes);
        break;
    case WS_EVENT_CLOSE:
        note(transcript, "close(%u %.*s); ", event->code, length, bytes);
        break;
    case WS_EVENT_ERROR:
        note(transcript, "error(%u %s); ", event->code, event->reason);
        break;
    }
}

/* Feeds `length` bytes in pieces of `piece`, each in memory of exactly its size, so that a sanitizer sees reads beyond it. */
static void feed(struct ws_reader *reader, struct event_transcript *transcript, const uint8_t *bytes, size_t length, size_t piece)
{
    while (length != 0) {
        size_t taken = piece < length ? piece : length, done = 0;
        uint8_t *exact = malloc(taken);

        memcpy(exact, bytes, taken);
        while (done < taken) {
            struct ws_event event;

            done += ws_read(reader, exact + done, taken - done, &event);
            note_event(transcript, &event);
            assert_true(event.kind != WS_EVENT_NONE || done == taken);
        }
        free(exact);
        bytes += taken;
        length -= taken;
    }
}

static void expect_as(enum ws_role role, const void *bytes, size_t length, const char *expected)
{
    for (size_t piece = 1; piece <= length; piece++) {
        struct event_transcript transcript = {.length = 0};
        struct ws_reader reader;

        ws_reader_init(&reader, role, MAX_MESSAGE_BYTES);
        feed(&reader, &transcript, bytes, length, piece);
        assert_string_equal(transcript.text, expected);
    }
}

/* `bytes` is a string literal: frames as a server sends them, or as a client does. */
#define EXPECT_FROM_SERVER(bytes, expected) expect_as(WS_CLIENT, bytes, sizeof(bytes) - 1, expected)
#define EXPECT_FROM_CLIENT(bytes, expected) expect_as(WS_SERVER, bytes, sizeof(bytes) - 1, expected)
#define ZERO_MASK                           "\0\0\0\0"

static void the_examples_of_the_rfc(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x81\x05\x48\x65\x6c\x6c\x6f", "Hello is text; ");
    EXPECT_FROM_CLIENT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "Hello is text; ");
    EXPECT_FROM_SERVER("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", "Hello is text; ");
    EXPECT_FROM_SERVER("\x89\x05\x48\x65\x6c\x6c\x6f", "ping(Hello); ");
    EXPECT_FROM_CLIENT("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "pong(Hello); ");
}

/* The last two examples of the RFC, and the edges of the three forms of the length. */
static void lengths(void **state)
{
    static const size_t LENGTHS[] = {0, 1, 125, 126, 127, 256, 65535, 65536, MAX_MESSAGE_BYTES};
    uint8_t *frame = malloc(WS_MAX_HEADER_BYTES + MAX_MESSAGE_BYTES);

    (void)state;
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        size_t header = ws_write_header(frame, WS_BINARY, LENGTHS[i], NULL);
        struct ws_reader reader;
        struct ws_event event;

        memset(frame + header, 'x', LENGTHS[i]);
        ws_reader_init(&reader, WS_CLIENT, MAX_MESSAGE_BYTES);
        assert_int_equal(ws_read(&reader, frame, header + LENGTHS[i], &event), header + LENGTHS[i]);
        assert_int_equal(event.kind, WS_EVENT_DATA);
        assert_int_equal(event.opcode, WS_BINARY);
        assert_int_equal(event.length, LENGTHS[i]);
        assert_true(event.last);
        assert_ptr_equal(event.bytes, frame + header); /* lent, not copied */
    }
    free(frame);
}

static void lengths_must_be_in_their_shortest_form(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x82\x7e\x00\x7d", "error(1002 length is not in its shortest form); ");
    EXPECT_FROM_SERVER("\x82\x7e\x00\x00", "error(1002 length is not in its shortest form); ");
    EXPECT_FROM_SERVER("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "error(1002 length is not in its shortest form); ");
    EXPECT_FROM_SERVER("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "error(1002 most significant bit of the length is set); ");
    EXPECT_FROM_SERVER("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "error(1002 most significant bit of the length is set); ");
}

static void messages_in_fragments(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x02\x01"
                       "a\x00\x01"
                       "b\x80\x01"
                       "c",
                       "abc is binary; ");
    EXPECT_FROM_SERVER("\x01\x00\x00\x00\x80\x00", " is text; ");
    EXPECT_FROM_SERVER("\x02\x01"
                       "a\x89\x01p\x80\x01"
                       "b",
                       "aping(p); b is binary; ");
    EXPECT_FROM_CLIENT("\x02\x81" ZERO_MASK "a\x8a\x80" ZERO_MASK "\x80\x82\x01\x02\x03\x04\x63\x61", "apong(); bc is binary; ");
}

static void several_frames_at_once(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x82\x01"
                       "a\x82\x00\x89\x00\x81\x01"
                       "b\x88\x00",
                       "a is binary;  is binary; ping(); b is text; close(1005 ); ");
}

static void wrong_continuations(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x80\x01"
                       "a",
                       "error(1002 continuation of no message); ");
    EXPECT_FROM_SERVER("\x00\x00", "error(1002 continuation of no message); ");
    EXPECT_FROM_SERVER("\x82\x00\x80\x00", " is binary; error(1002 continuation of no message); ");
    EXPECT_FROM_SERVER("\x01\x00\x81\x00", "error(1002 new message before the last one ended); ");
    EXPECT_FROM_SERVER("\x02\x00\x02\x00", "error(1002 new message before the last one ended); ");
}

static void reserved_bits_and_opcodes(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\xc1\x00", "error(1002 reserved bits are set); ");
    EXPECT_FROM_SERVER("\xa1\x00", "error(1002 reserved bits are set); ");
    EXPECT_FROM_SERVER("\x91\x00", "error(1002 reserved bits are set); ");
    EXPECT_FROM_SERVER("\xd9\x00", "error(1002 reserved bits are set); ");
    for (uint8_t opcode = 0; opcode < 16; opcode++) {
        uint8_t frame[2] = {0x80 | opcode, 0};

        if ((opcode > 2 && opcode < 8) || opcode > 10)
            expect_as(WS_CLIENT, frame, 2, "error(1002 reserved opcode); ");
    }
}

static void control_frames_are_short_and_whole(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x09\x00", "error(1002 fragmented control frame); ");
    EXPECT_FROM_SERVER("\x08\x00", "error(1002 fragmented control frame); ");
    EXPECT_FROM_SERVER("\x89\x7e\x00\x7e", "error(1002 control frame of more than 125 bytes); ");
    EXPECT_FROM_SERVER("\x8a\x7f", "error(1002 control frame of more than 125 bytes); ");
}

static void the_largest_ping(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], payload[WS_MAX_CONTROL_BYTES];
    const uint8_t mask[4] = {1, 2, 3, 4};
    char expected[160];

    (void)state;
    memset(payload, 'x', sizeof payload);
    snprintf(expected, sizeof expected, "ping(%.125s); ", (const char *)payload);
    expect_as(WS_SERVER, frame, ws_write_control(frame, WS_PING, payload, sizeof payload, mask), expected);
    expect_as(WS_CLIENT, frame, ws_write_control(frame, WS_PING, payload, sizeof payload, NULL), expected);
}

static void masks_by_role(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x81\x80" ZERO_MASK, "error(1002 masked frame from a server); ");
    EXPECT_FROM_CLIENT("\x81\x00", "error(1002 frame from a client is not masked); ");
    EXPECT_FROM_CLIENT("\x89\x00", "error(1002 frame from a client is not masked); ");
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x81\x03\xe2\x82\xac", "\xe2\x82\xac is text; ");
    EXPECT_FROM_SERVER("\x81\x01\xff", "error(1007 text is not UTF-8); ");
    EXPECT_FROM_SERVER("\x82\x01\xff", "\xff is binary; ");
    EXPECT_FROM_SERVER("\x01\x01\xe2\x00\x00\x00\x01\x82\x80\x01\xac", "\xe2\x82\xac is text; ");
    EXPECT_FROM_SERVER("\x01\x01\xe2\x80\x01"
                       "a",
                       "\xe2"
                       "error(1007 text is not UTF-8); ");
    EXPECT_FROM_SERVER("\x01\x01\xff", "error(1007 text is not UTF-8); "); /* refused at once, whatever may follow */
}

static void text_must_not_end_within_a_character(void **state)
{
    struct ws_reader reader;
    struct ws_event event;
    uint8_t frame[] = {0x81, 2, 0xe2, 0x82}, fragments[] = {1, 1, 0xe2, 0x80, 0};

    (void)state;
    ws_reader_init(&reader, WS_CLIENT, MAX_MESSAGE_BYTES);
    ws_read(&reader, frame, sizeof frame, &event);
    assert_int_equal(event.kind, WS_EVENT_ERROR);
    assert_int_equal(event.code, WS_CLOSE_INVALID_PAYLOAD);
    ws_reader_init(&reader, WS_CLIENT, MAX_MESSAGE_BYTES);
    assert_int_equal(ws_read(&reader, fragments, sizeof fragments, &event), 3);
    assert_int_equal(event.kind, WS_EVENT_DATA);
    ws_read(&reader, fragments + 3, 2, &event);
    assert_int_equal(event.kind, WS_EVENT_ERROR);
    assert_string_equal(event.reason, "text ends within a character");
}

static void closes(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x88\x00", "close(1005 ); ");
    EXPECT_FROM_SERVER("\x88\x02\x03\xe8", "close(1000 ); ");
    EXPECT_FROM_SERVER("\x88\x06\x0f\xa0"
                       "h\xc3\xa9!",
                       "close(4000 h\xc3\xa9!); ");
    EXPECT_FROM_CLIENT("\x88\x82\x01\x02\x03\x04\x02\xeb", "close(1001 ); ");
    EXPECT_FROM_SERVER("\x88\x01\x03", "error(1002 close frame with one byte); ");
    EXPECT_FROM_SERVER("\x88\x02\x03\xed", "error(1002 invalid close code); ");
    EXPECT_FROM_SERVER("\x88\x02\x00\x00", "error(1002 invalid close code); ");
    EXPECT_FROM_SERVER("\x88\x03\x03\xe8\xff", "error(1007 reason of the close is not UTF-8); ");
    EXPECT_FROM_SERVER("\x88\x04\x03\xe8\xe2\x82", "error(1007 reason of the close is not UTF-8); ");
}

static void nothing_is_read_after_a_close_or_an_error(void **state)
{
    (void)state;
    EXPECT_FROM_SERVER("\x88\x00\x89\x00\xff", "close(1005 ); ");
    EXPECT_FROM_SERVER("\x80\x00\x89\x00\x81\x01"
                       "a",
                       "error(1002 continuation of no message); ");
}

static void too_big_messages_are_refused_at_their_header(void **state)
{
    static const char FRAGMENT[] = "\x02\x02"
                                   "ab";
    struct ws_reader reader;
    struct event_transcript transcript = {.length = 0};

    (void)state;
    EXPECT_FROM_SERVER("\x82\x7f\x00\x00\x00\x00\x00\x01\x86\xa1", "error(1009 message too big); ");
    EXPECT_FROM_SERVER("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "error(1009 message too big); ");
    EXPECT_FROM_CLIENT("\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1", "error(1009 message too big); ");

    /* The limit is for the sum of a message's fragments, not for the pings between them or the next message. */
    ws_reader_init(&reader, WS_CLIENT, 4);
    feed(&reader, &transcript, (const uint8_t *)FRAGMENT, 4, 4);
    feed(&reader, &transcript,
         (const uint8_t *)"\x89\x05"
                          "12345\x80\x02"
                          "cd",
         11, 11);
    feed(&reader, &transcript, (const uint8_t *)FRAGMENT, 4, 4);
    feed(&reader, &transcript, (const uint8_t *)"\x80\x03", 2, 2);
    assert_string_equal(transcript.text, "abping(12345); cd is binary; aberror(1009 message too big); ");
}

static void a_limit_of_nothing_takes_empty_messages(void **state)
{
    struct ws_reader reader;
    struct ws_event event;
    uint8_t frames[] = {0x82, 0, 0x82, 1};

    (void)state;
    ws_reader_init(&reader, WS_CLIENT, 0);
    assert_int_equal(ws_read(&reader, frames, sizeof frames, &event), 2);
    assert_int_equal(event.kind, WS_EVENT_DATA);
    assert_int_equal(ws_read(&reader, frames + 2, 2, &event), 2);
    assert_int_equal(event.code, WS_CLOSE_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),
        cmocka_unit_test(lengths),
        cmocka_unit_test(lengths_must_be_in_their_shortest_form),
        cmocka_unit_test(messages_in_fragments),
        cmocka_unit_test(several_frames_at_once),
        cmocka_unit_test(wrong_continuations),
        cmocka_unit_test(reserved_bits_and_opcodes),
        cmocka_unit_test(control_frames_are_short_and_whole),
        cmocka_unit_test(the_largest_ping),
        cmocka_unit_test(masks_by_role),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(text_must_not_end_within_a_character),
        cmocka_unit_test(closes),
        cmocka_unit_test(nothing_is_read_after_a_close_or_an_error),
        cmocka_unit_test(too_big_messages_are_refused_at_their_header),
        cmocka_unit_test(a_limit_of_nothing_takes_empty_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
