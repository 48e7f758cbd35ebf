/* Request heads (RFC 9112): what is read from them, and which are refused. */
#include "flashrelay/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct http_request request;
static const char *error;
static size_t consumed;

static enum http_parse_result parse_bytes(const char *bytes, size_t length)
{
    return http_request_parse(&request, bytes, length, &consumed, &error);
}

/*
 * Parses every beginning of `text`, from the shortest: each must be incomplete, or already have the result of the whole. Each is copied to
 * memory of its own with one spare byte, so that a sanitizer sees reads beyond that.
 */
static enum http_parse_result parse(const char *text)
{
    size_t whole = strlen(text);

    for (size_t length = 0; length <= whole; length++) {
        char *exact = malloc(length ? length : 1);
        enum http_parse_result result;

        memcpy(exact, text, length);
        result = parse_bytes(exact, length);
        free(exact);
        if (result != HTTP_PARSE_INCOMPLETE) {
            const char *first_error = error;

            assert_int_equal(parse_bytes(text, whole), result);
            assert_ptr_equal(error, first_error);
            return result;
        }
    }
    return HTTP_PARSE_INCOMPLETE;
}

static void expect_bad(const char *text, const char *expected)
{
    assert_int_equal(parse(text), HTTP_PARSE_BAD);
    assert_string_equal(error, expected);
}

static void expect_line(const char *line, const char *expected)
{
    char text[256];

    snprintf(text, sizeof text, "%s\r\nHost: h\r\n\r\n", line);
    expect_bad(text, expected);
}

static void expect_header(const char *header, const char *expected)
{
    char text[256];

    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", header);
    expect_bad(text, expected);
}

static void assert_text(struct http_text text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.text, expected, text.length);
}

static void a_request_in_its_parts(void **state)
{
    static const char TEXT[] =
        "GET /ws/a%20b?x=1&y=? HTTP/1.1\r\nHost: example.org:8545\r\nEmpty:\r\nX-Spaces: \t a b \t\r\n\r\n";

    (void)state;
    assert_int_equal(parse(TEXT), HTTP_PARSE_DONE);
    assert_int_equal(consumed, strlen(TEXT));
    assert_text(request.method, "GET");
    assert_text(request.path, "/ws/a%20b");
    assert_text(request.query, "x=1&y=?");
    assert_int_equal(request.minor_version, 1);
    assert_int_equal(request.header_count, 3);
    assert_text(request.headers[0].name, "Host");
    assert_text(request.headers[0].value, "example.org:8545");
    assert_text(request.headers[1].value, "");
    assert_text(request.headers[2].value, "a b");
}

static void what_follows_the_head_is_left(void **state)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n\x81\x80rest";

    (void)state;
    assert_int_equal(parse_bytes(TEXT, sizeof TEXT - 1), HTTP_PARSE_DONE);
    assert_string_equal(TEXT + consumed, "\x81\x80rest");
}

static void empty_lines_before_the_request_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(parse("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_PARSE_DONE);
    assert_text(request.method, "GET");
}

static void the_end_of_a_head_is_found_wherever_it_is_split(void **state)
{
    static const char *const WHOLE[] = {"a\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n\r\nGET /\r\n\r\n"};
    static const char *const UNFINISHED[] = {"", "\r\n\r\n", "\r\n\r\n\r\n", "a\r\n\r", "a\n\r\n\r\n", "a\r\n\n"};

    (void)state;
    for (size_t i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++) {
        size_t length = strlen(WHOLE[i]);
        char text[64];

        snprintf(text, sizeof text, "%s\r\n\r\nmore", WHOLE[i]);
        for (size_t searched = 0; searched < length; searched++) {
            assert_int_equal(http_head_find_end(text, strlen(text), searched), length);
            assert_int_equal(http_head_find_end(text, length, searched), length);
            assert_int_equal(http_head_find_end(text, searched, 0), 0);
        }
    }
    for (size_t i = 0; i < sizeof UNFINISHED / sizeof *UNFINISHED; i++)
        assert_int_equal(http_head_find_end(UNFINISHED[i], strlen(UNFINISHED[i]), 0), 0);
}

/* Once the first page was searched it is made unreadable, so that searching it again crashes the test. */
static void what_was_searched_for_the_end_is_not_looked_at_again(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), length = 2 * page;
    char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(bytes, MAP_FAILED);
    memset(bytes, 'x', length);
    memcpy(bytes + length - 4, "\r\n\r\n", 4);
    for (size_t searched = 0; searched < page + 4; searched++)
        assert_int_equal(http_head_find_end(bytes, searched + 1, searched), 0);
    assert_int_equal(mprotect(bytes, page, PROT_NONE), 0);
    for (size_t searched = page + 4; searched < length - 1; searched++)
        assert_int_equal(http_head_find_end(bytes, searched + 1, searched), 0);
    assert_int_equal(http_head_find_end(bytes, length, length - 1), length);
    munmap(bytes, length);
}

static void absolute_targets(void **state)
{
    (void)state;
    assert_int_equal(parse("GET http://h:80/ws?q HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_PARSE_DONE);
    assert_text(request.path, "/ws");
    assert_text(request.query, "q");
    assert_int_equal(parse("GET HTTPS://h?q HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_PARSE_DONE);
    assert_text(request.path, "/");
    assert_text(request.query, "q");
    expect_line("GET http:///ws HTTP/1.1", "request target is neither a path nor an http URI");
    expect_line("GET ftp://h/ws HTTP/1.1", "request target is neither a path nor an http URI");
    expect_line("GET http:/ws HTTP/1.1", "request target is neither a path nor an http URI");
    expect_line("OPTIONS * HTTP/1.1", "request target is neither a path nor an http URI");
    expect_line("CONNECT h:80 HTTP/1.1", "request target is neither a path nor an http URI");
}

static void bad_request_lines(void **state)
{
    (void)state;
    expect_line("GET", "request target is neither a path nor an http URI");
    expect_line(" GET / HTTP/1.1", "request method is not a token");
    expect_line("G(T / HTTP/1.1", "request method is not a token");
    expect_line("GET  / HTTP/1.1", "request target is neither a path nor an http URI");
    expect_line("GET /\t HTTP/1.1", "request target has a character that must be percent-encoded");
    expect_line("GET /\xc3\xa9 HTTP/1.1", "request target has a character that must be percent-encoded");
    expect_line("GET /#part HTTP/1.1", "request target has a character that must be percent-encoded");
    expect_line("GET /", "HTTP version is not 1.x");
    expect_line("GET / HTTP/1.1 ", "HTTP version is not 1.x");
    expect_line("GET / http/1.1", "HTTP version is not 1.x");
    expect_line("GET / HTTP/2.0", "HTTP version is not 1.x");
    expect_line("GET / HTTP/1.", "HTTP version is not 1.x");
    expect_line("GET / HTTP/1.x", "HTTP version is not 1.x");
    expect_bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "request target is neither a path nor an http URI");
}

static void bad_lines(void **state)
{
    static const char NUL_IN_LINE[] = "GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n";
    static const char TLS_HELLO[] = "\x16\x03\x01\x02\x00";

    (void)state;
    expect_bad("GET / HTTP/1.1\nHost: h\n\n", "a line ends with LF, expected CRLF");
    expect_header("A: b\nC: d", "a line ends with LF, expected CRLF");
    expect_header("A: b\rC: d", "CR without LF");
    expect_header("A: \x01", "control character in the head");
    expect_header("A: \x7f", "control character in the head");
    assert_int_equal(parse_bytes(NUL_IN_LINE, sizeof NUL_IN_LINE - 1), HTTP_PARSE_BAD);
    assert_int_equal(parse_bytes(TLS_HELLO, 1), HTTP_PARSE_BAD); /* at its first byte, as no more bytes may follow */
}

static void bad_headers(void **state)
{
    (void)state;
    expect_header("A : b", "header name is not a token");
    expect_header(": b", "header name is not a token");
    expect_header("A\xc3: b", "header name is not a token");
    expect_header("A", "header line without a colon");
    expect_header("A: b\r\n folded", "folded header line");
    expect_header("A: b\r\n\tfolded", "folded header line");
    expect_bad("GET / HTTP/1.1\r\n Host: h\r\n\r\n", "folded header line");
}

static void host_must_be_there_once(void **state)
{
    (void)state;
    expect_bad("GET / HTTP/1.1\r\n\r\n", "no Host header");
    expect_header("host: h", "more than one Host header");
    expect_bad("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "Host header is not a host");
    expect_bad("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "Host header is not a host");
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_PARSE_DONE);
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n"), HTTP_PARSE_DONE);
    assert_int_equal(request.minor_version, 0);
}

static void content_is_unmistakable(void **state)
{
    (void)state;
    expect_header("Content-Length: 5", "content in a GET or HEAD request");
    expect_header("Transfer-Encoding: chunked", "content in a GET or HEAD request");
    expect_header("Content-Length: 0\r\nTransfer-Encoding: chunked", "Transfer-Encoding with Content-Length or in HTTP/1.0");
    expect_header("Content-Length: 0\r\nContent-Length: 0", "Content-Length is not one decimal number");
    expect_header("Content-Length: 0, 0", "Content-Length is not one decimal number");
    expect_header("Content-Length: +0", "Content-Length is not one decimal number");
    expect_header("Content-Length:", "Content-Length is not one decimal number");
    expect_bad("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding with Content-Length or in HTTP/1.0");
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), HTTP_PARSE_DONE);
    assert_int_equal(parse("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"), HTTP_PARSE_DONE);
}

/* A request of exactly `length` bytes. */
static char *request_of(size_t length)
{
    static const char BEGIN[] = "GET / HTTP/1.1\r\nHost: h\r\nPadding: ";
    char *text = malloc(length + 1);

    memset(text, 'x', length);
    memcpy(text, BEGIN, sizeof BEGIN - 1);
    memcpy(text + length - 4, "\r\n\r\n", 5);
    return text;
}

static void the_limit_of_bytes(void **state)
{
    char *fits = request_of(HTTP_MAX_REQUEST_BYTES), *too_large = request_of(HTTP_MAX_REQUEST_BYTES + 1);

    (void)state;
    assert_int_equal(parse(fits), HTTP_PARSE_DONE);
    assert_int_equal(consumed, HTTP_MAX_REQUEST_BYTES);
    assert_int_equal(parse(too_large), HTTP_PARSE_TOO_LARGE);
    assert_int_equal(parse_bytes(too_large, HTTP_MAX_REQUEST_BYTES - 1), HTTP_PARSE_INCOMPLETE);
    memset(too_large, 'x', HTTP_MAX_REQUEST_BYTES + 1); /* a request line without an end */
    assert_int_equal(parse(too_large), HTTP_PARSE_TOO_LARGE);
    free(fits);
    free(too_large);
}

static void the_limit_of_headers(void **state)
{
    char text[2048] = "GET / HTTP/1.1\r\nHost: h\r\n";

    (void)state;
    for (int i = 1; i < HTTP_MAX_HEADERS; i++)
        strcat(text, "A: b\r\n");
    strcat(text, "\r\n");
    assert_int_equal(parse(text), HTTP_PARSE_DONE);
    assert_int_equal(request.header_count, HTTP_MAX_HEADERS);
    strcpy(text + strlen(text) - 2, "A: b\r\n\r\n");
    assert_int_equal(parse(text), HTTP_PARSE_TOO_LARGE);
}

static void looking_for_headers(void **state)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive ,\tUPGRADE\r\nconnection: x-other\r\n\r\n";

    (void)state;
    assert_int_equal(parse_bytes(TEXT, sizeof TEXT - 1), HTTP_PARSE_DONE);
    assert_text(http_find_header(request.headers, request.header_count, "CONNECTION")->value, "keep-alive ,\tUPGRADE");
    assert_null(http_find_header(request.headers, request.header_count, "connectio"));
    assert_true(http_header_has_token(request.headers, request.header_count, "Connection", "upgrade"));
    assert_true(http_header_has_token(request.headers, request.header_count, "Connection", "X-Other"));
    assert_false(http_header_has_token(request.headers, request.header_count, "Connection", "keep"));
    assert_false(http_header_has_token(request.headers, request.header_count, "Connection", "keep-alive ,\tUPGRADE"));
    assert_false(http_header_has_token(request.headers, request.header_count, "Upgrade", "websocket"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_in_its_parts),
        cmocka_unit_test(what_follows_the_head_is_left),
        cmocka_unit_test(empty_lines_before_the_request_are_ignored),
        cmocka_unit_test(the_end_of_a_head_is_found_wherever_it_is_split),
        cmocka_unit_test(what_was_searched_for_the_end_is_not_looked_at_again),
        cmocka_unit_test(absolute_targets),
        cmocka_unit_test(bad_request_lines),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(host_must_be_there_once),
        cmocka_unit_test(content_is_unmistakable),
        cmocka_unit_test(the_limit_of_bytes),
        cmocka_unit_test(the_limit_of_headers),
        cmocka_unit_test(looking_for_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
