/* The server's side of the WebSocket handshake (RFC 6455, 4.2), answers, and percent decoding. */
#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The accept key for the key "dGhlIHNhbXBsZSBub25jZQ==", the example of RFC 6455, 1.3. */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HOST       "Host: h\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"
#define KEY_HEADER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static enum ws_upgrade_check check(const char *text)
{
    struct http_request request;
    const char *error;
    size_t consumed;

    assert_int_equal(http_request_parse(&request, text, strlen(text), &consumed, &error), HTTP_PARSE_DONE);
    return ws_upgrade_check(&request);
}

static enum ws_upgrade_check check_get(const char *headers)
{
    char text[512];

    snprintf(text, sizeof text, "GET /ws HTTP/1.1\r\n" HOST "%s\r\n", headers);
    return check(text);
}

static void a_proper_upgrade(void **state)
{
    (void)state;
    assert_int_equal(check_get(CONNECTION UPGRADE VERSION KEY_HEADER), WS_UPGRADE_OK);
    assert_int_equal(check_get("Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket\r\n" VERSION KEY_HEADER),
                     WS_UPGRADE_OK);
}

static void what_is_wrong_is_told_in_order(void **state)
{
    (void)state;
    assert_int_equal(check("POST /ws HTTP/1.1\r\n" HOST "\r\n"), WS_UPGRADE_BAD_METHOD);
    assert_int_equal(check("get /ws HTTP/1.1\r\n" HOST CONNECTION UPGRADE VERSION KEY_HEADER "\r\n"), WS_UPGRADE_BAD_METHOD);
    assert_int_equal(check_get(""), WS_UPGRADE_BAD_CONNECTION);
    assert_int_equal(check_get("Connection: close\r\n" UPGRADE VERSION KEY_HEADER), WS_UPGRADE_BAD_CONNECTION);
    assert_int_equal(check_get(CONNECTION), WS_UPGRADE_BAD_UPGRADE);
    assert_int_equal(check_get(CONNECTION "Upgrade: h2c\r\n" VERSION KEY_HEADER), WS_UPGRADE_BAD_UPGRADE);
    assert_int_equal(check_get(CONNECTION UPGRADE), WS_UPGRADE_BAD_VERSION);
    assert_int_equal(check_get(CONNECTION UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY_HEADER), WS_UPGRADE_BAD_VERSION);
    assert_int_equal(check_get(CONNECTION UPGRADE VERSION VERSION KEY_HEADER), WS_UPGRADE_BAD_VERSION);
    assert_int_equal(check_get(CONNECTION UPGRADE VERSION), WS_UPGRADE_NO_KEY);
}

static void an_upgrade_in_http_1_0_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(check("GET /ws HTTP/1.0\r\n" CONNECTION UPGRADE VERSION KEY_HEADER "\r\n"), WS_UPGRADE_BAD_UPGRADE);
}

/* Any key is accepted, as by the servers that clients were written against: the key's hash proves that the request was read. */
static void any_key_will_do(void **state)
{
    static const char *const keys[] = {"", "x", "dGhlIHNhbXBsZSBub25jZQ", "not base64 at all!", "dGhlIHNhbXBsZSBub25jZTE="};
    char headers[256];

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(headers, sizeof headers, CONNECTION UPGRADE VERSION "Sec-WebSocket-Key: %s\r\n", keys[i]);
        assert_int_equal(check_get(headers), WS_UPGRADE_OK);
    }
    assert_int_equal(check_get(CONNECTION UPGRADE VERSION KEY_HEADER KEY_HEADER), WS_UPGRADE_NO_KEY);
}

static void the_accept_key_of_the_rfc(void **state)
{
    char accept[WS_ACCEPT_TEXT_BYTES];
    char answer[256];
    size_t length;

    (void)state;
    ws_accept_key((struct http_text){"dGhlIHNhbXBsZSBub25jZQ==", 24}, accept);
    assert_string_equal(accept, ACCEPT);
    length = ws_write_upgrade_answer(answer, sizeof answer, accept);
    assert_int_equal(length, strlen(answer));
    assert_string_equal(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n");
}

static void expect_answer(const struct http_answer *answer, const char *expected)
{
    size_t length = strlen(expected);
    char out[512];

    assert_int_equal(http_write_answer(out, sizeof out, answer), length);
    assert_string_equal(out, expected);
    assert_int_equal(http_write_answer(out, length + 1, answer), length);
    for (size_t capacity = 1; capacity <= length; capacity++)
        assert_int_equal(http_write_answer(out, capacity, answer), -ENOSPC);
}

static void an_answer_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    expect_answer(&(struct http_answer){.status = 404},
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect_answer(&(struct http_answer){.status = 200, .content_type = "application/json", .body = "{}"},
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    expect_answer(&(struct http_answer){.status = 405, .extra_headers = "Allow: GET,HEAD\r\n", .body = "no", .head_only = true},
                  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET,HEAD\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
}

static void expect_decoded(const char *text, const char *expected, size_t length)
{
    char out[32];

    assert_int_equal(http_percent_decode((struct http_text){text, strlen(text)}, out, length), length);
    assert_memory_equal(out, expected, length);
    if (length != 0)
        assert_int_equal(http_percent_decode((struct http_text){text, strlen(text)}, out, length - 1), -ENOSPC);
}

static void percent_decoding(void **state)
{
    static const char *const WRONG[] = {"%", "%4", "a%4", "%4g", "%g4", "%%41", "% 41"};
    char out[32];

    (void)state;
    expect_decoded("", "", 0);
    expect_decoded("abc+/", "abc+/", 5);
    expect_decoded("%41%6a%6A%25", "Ajj%", 4);
    expect_decoded("a%00b%ff", "a\0b\xff", 4);
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_int_equal(http_percent_decode((struct http_text){WRONG[i], strlen(WRONG[i])}, out, sizeof out), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proper_upgrade),
        cmocka_unit_test(what_is_wrong_is_told_in_order),
        cmocka_unit_test(an_upgrade_in_http_1_0_is_ignored),
        cmocka_unit_test(any_key_will_do),
        cmocka_unit_test(the_accept_key_of_the_rfc),
        cmocka_unit_test(an_answer_is_written_whole_or_not_at_all),
        cmocka_unit_test(percent_decoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
