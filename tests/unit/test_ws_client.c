/* The client's side of a WebSocket connection: the upgrade (RFC 6455, 4.1), what is masked, the close handshake (7.1). */
#include "flashrelay/ws_client.h"
#include "flashrelay/ws_upgrade.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The example of RFC 6455, 1.3: the key "dGhlIHNhbXBsZSBub25jZQ==". */
#define KEY    "the sample nonce"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define SWITCHING  "HTTP/1.1 101 Switching Protocols\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define ACCEPTED   "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define AGREED     SWITCHING UPGRADE CONNECTION ACCEPTED "\r\n"

enum { MAX_MESSAGE_BYTES = 1000 };

/* How many numbers were drawn. The first two are the halves of the key; then follow 1, 2, 3 ... */
static unsigned drawn;

static uint64_t draw(void *context)
{
    uint64_t half;

    (void)context;
    if (drawn++ >= 2)
        return drawn - 2;
    memcpy(&half, KEY + 8 * (drawn - 1), sizeof half);
    return half;
}

static struct ws_uri uri;
static const struct ws_client_options options = {.uri = &uri, .max_message_bytes = MAX_MESSAGE_BYTES, .next_random = draw};
static uint8_t head[WS_CLIENT_HEAD_BYTES];
static struct ws_client client;
static struct ws_client_answer answer;

static void start(void)
{
    drawn = 0;
    ws_client_start(&client, &options, head);
    assert_int_equal(client.state, WS_CLIENT_UPGRADING);
}

static void open_client(void)
{
    start();
    assert_int_equal(ws_client_read_answer(&client, (const uint8_t *)AGREED, strlen(AGREED), &answer), strlen(AGREED));
    assert_int_equal(client.state, WS_CLIENT_OPEN);
}

/* --- the request --- */

static void parse_uri(const char *text)
{
    const char *error;

    assert_int_equal(ws_uri_parse(&uri, text, &error), 0);
    start();
}

static void the_request(void **state)
{
    struct http_request request;
    const char *error;
    char out[512];
    size_t consumed;
    long length;

    (void)state;
    parse_uri("ws://user:pass@[::1]:8546/ws?a=b");
    length = ws_client_write_request(&client, out, sizeof out);
    assert_int_equal(length, strlen(out));
    assert_string_equal(out, "GET /ws?a=b HTTP/1.1\r\nHost: [::1]:8546\r\n" UPGRADE CONNECTION
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                             "User-Agent: flashrelay\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n");
    assert_int_equal(http_request_parse(&request, out, (size_t)length, &consumed, &error), HTTP_PARSE_DONE);
    assert_int_equal(ws_upgrade_check(&request), WS_UPGRADE_OK);
    assert_int_equal(ws_client_write_request(&client, out, (size_t)length), -ENOSPC);
    ws_uri_dispose(&uri);

    parse_uri("wss://example.org:443");
    assert_true(ws_client_write_request(&client, out, sizeof out) > 0);
    assert_non_null(strstr(out, "GET / HTTP/1.1\r\nHost: example.org\r\n"));
    assert_null(strstr(out, "Authorization"));
    ws_uri_dispose(&uri);
}

/* --- the answer --- */

/* Reads `text` in pieces of `piece_bytes`, each in memory of exactly its size, until the answer ends; returns how many bytes were taken. */
static size_t read_in_pieces(const char *text, size_t length, size_t piece_bytes)
{
    size_t taken = 0;

    start();
    while (taken < length && client.state == WS_CLIENT_UPGRADING) {
        size_t piece = length - taken < piece_bytes ? length - taken : piece_bytes;
        uint8_t *exact = malloc(piece);

        memcpy(exact, text + taken, piece);
        taken += ws_client_read_answer(&client, exact, piece, &answer);
        free(exact);
    }
    return taken;
}

static void expect_open(const char *text, size_t answer_bytes)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        assert_int_equal(read_in_pieces(text, strlen(text), piece), answer_bytes);
        assert_int_equal(client.state, WS_CLIENT_OPEN);
        assert_int_equal(answer.status, 101);
        assert_string_equal(answer.error, "");
    }
}

static void the_answer_may_come_in_any_pieces(void **state)
{
    static const char TEXT[] =
        SWITCHING "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-accept: " ACCEPT "\r\n\r\n\x82\x01x";

    (void)state;
    expect_open(TEXT, sizeof TEXT - 4);
}

static void interim_answers_are_passed_over(void **state)
{
    static const char TEXT[] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" AGREED "more";

    (void)state;
    expect_open(TEXT, sizeof TEXT - 5);
}

static void an_answer_in_one_piece_needs_no_memory(void **state)
{
    (void)state;
    drawn = 0;
    ws_client_start(&client, &options, NULL);
    assert_int_equal(ws_client_read_answer(&client, (const uint8_t *)AGREED, strlen(AGREED), &answer), strlen(AGREED));
    assert_int_equal(client.state, WS_CLIENT_OPEN);
}

static void expect_refusal(const char *text, int status, const char *error)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        read_in_pieces(text, strlen(text), piece);
        assert_int_equal(client.state, WS_CLIENT_REFUSED);
        assert_int_equal(answer.status, status);
        assert_string_equal(answer.error, error);
    }
}

static void answers_that_are_no_upgrade(void **state)
{
    (void)state;
    expect_refusal("HTTP/1.1 401 No\r\n\r\n", 401, "answered with status 401, expected 101");
    expect_refusal("HTTP/1.0 302\r\nLocation: ws://x\r\n\r\n", 302, "answered with status 302, expected 101");
    expect_refusal(SWITCHING CONNECTION ACCEPTED "\r\n", 101, "switched without \"Upgrade: websocket\"");
    expect_refusal(SWITCHING UPGRADE ACCEPTED "\r\n", 101, "switched without \"Connection: Upgrade\"");
    expect_refusal(SWITCHING UPGRADE CONNECTION "\r\n", 101, "Sec-WebSocket-Accept does not belong to our key");
    expect_refusal(SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 101,
                   "Sec-WebSocket-Accept does not belong to our key");
    expect_refusal(SWITCHING UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101,
                   "switched with an extension that was not asked for");
    expect_refusal(SWITCHING UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Protocol: x\r\n\r\n", 101,
                   "switched to a subprotocol that was not asked for");
}

static void the_explanation_of_a_refusal_is_left(void **state)
{
    static const char HEAD[] = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n";
    static const char TEXT[] = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno";

    (void)state;
    assert_int_equal(read_in_pieces(TEXT, strlen(TEXT), strlen(TEXT)), strlen(HEAD));
    assert_int_equal(read_in_pieces(TEXT, strlen(TEXT), strlen(TEXT) - 1), strlen(HEAD));
    assert_int_equal(client.state, WS_CLIENT_REFUSED);
}

static void answers_that_are_no_http(void **state)
{
    (void)state;
    expect_refusal("SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, "not an HTTP/1.x answer");
    expect_refusal("HTTP/2 101 x\r\n\r\n", 0, "not an HTTP/1.x answer");
    expect_refusal("HTTP/1.1 1010\r\n\r\n", 0, "not an HTTP/1.x answer");
    expect_refusal("HTTP/1.1 1x1\r\n\r\n", 0, "not an HTTP/1.x answer");
    expect_refusal(SWITCHING "A\r\n\r\n", 0, "header line without a colon");
}

static void what_is_no_http_is_told_with_its_first_piece(void **state)
{
    static const char *const WRONG[] = {"SSH-2.0-OpenSSH_9.2\r\n", "\r\n", "\x16\x03\x01", SWITCHING "A\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        read_in_pieces(WRONG[i], strlen(WRONG[i]), strlen(WRONG[i]));
        assert_int_equal(client.state, WS_CLIENT_REFUSED);
        assert_string_not_equal(answer.error, "");
    }
}

static void assert_too_large(const char *text, size_t length, size_t piece_bytes)
{
    assert_true(read_in_pieces(text, length, piece_bytes) <= WS_CLIENT_HEAD_BYTES);
    assert_int_equal(client.state, WS_CLIENT_REFUSED);
    assert_int_equal(answer.status, 0);
    assert_string_equal(answer.error, "answer with too many or too large headers");
}

static void an_answer_has_a_limit(void **state)
{
    static const char INTERIM[] = "HTTP/1.1 102 Processing\r\n\r\n";
    static char large[WS_CLIENT_HEAD_BYTES + 64] = SWITCHING "X: ", endless[WS_CLIENT_HEAD_BYTES + 64];

    (void)state;
    memset(large + strlen(large), 'x', sizeof large - strlen(large));
    for (size_t i = 0; i < sizeof endless; i++)
        endless[i] = INTERIM[i % strlen(INTERIM)];
    for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
        assert_too_large(large, sizeof large, piece);
        assert_too_large(endless, sizeof endless, piece);
    }
    assert_too_large(endless, sizeof endless, strlen(INTERIM));
}

/* The first page of the head's memory is unreadable while pieces come that do not end the head: reading it again crashes the test. */
static void a_piece_costs_no_look_at_the_pieces_before(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory = mmap(NULL, WS_CLIENT_HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const char BEGINNING[] = SWITCHING UPGRADE CONNECTION ACCEPTED "X: ";

    (void)state;
    if (2 * page > WS_CLIENT_HEAD_BYTES)
        skip();
    assert_ptr_not_equal(memory, MAP_FAILED);
    drawn = 0;
    ws_client_start(&client, &options, memory);
    ws_client_read_answer(&client, (const uint8_t *)BEGINNING, strlen(BEGINNING), &answer);
    for (size_t i = 0; i < page; i++)
        assert_int_equal(ws_client_read_answer(&client, (const uint8_t *)"x", 1, &answer), 1);
    assert_int_equal(mprotect(memory, page, PROT_NONE), 0);
    for (size_t i = 0; i < page / 2; i++)
        assert_int_equal(ws_client_read_answer(&client, (const uint8_t *)"x", 1, &answer), 1);
    assert_int_equal(mprotect(memory, page, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(ws_client_read_answer(&client, (const uint8_t *)"\r\n\r\n", 4, &answer), 4);
    assert_int_equal(client.state, WS_CLIENT_OPEN);
    munmap(memory, WS_CLIENT_HEAD_BYTES);
}

/* --- frames that the client writes --- */

/* Reads one frame as the server does. */
static struct ws_event read_as_server(uint8_t *frame, size_t length)
{
    struct ws_reader reader;
    struct ws_event event;

    ws_reader_init(&reader, WS_SERVER, MAX_MESSAGE_BYTES);
    assert_int_equal(ws_read(&reader, frame, length, &event), length);
    assert_true(ws_reader_is_idle(&reader) || event.kind == WS_EVENT_CLOSE);
    return event;
}

static void every_frame_is_masked_with_a_mask_of_its_own(void **state)
{
    uint8_t frame[WS_MAX_HEADER_BYTES + 300], payload[300], control[WS_MAX_CONTROL_FRAME];
    struct ws_event event;
    size_t length;

    (void)state;
    memset(payload, 'p', sizeof payload);
    open_client();
    length = ws_client_write_message(&client, frame, WS_BINARY, payload, sizeof payload);
    assert_int_equal(length, 8 + sizeof payload);
    assert_int_equal(frame[4], 1); /* the mask's first byte, as drawn */
    event = read_as_server(frame, length);
    assert_int_equal(event.kind, WS_EVENT_DATA);
    assert_int_equal(event.opcode, WS_BINARY);
    assert_int_equal(event.length, sizeof payload);
    assert_memory_equal(event.bytes, payload, sizeof payload);
    length = ws_client_write_message(&client, frame, WS_TEXT, NULL, 0);
    assert_int_equal(frame[2], 2);
    assert_true(read_as_server(frame, length).last);
    length = ws_client_write_control(&client, control, WS_PONG, "abc", 3);
    assert_int_equal(control[2], 3);
    event = read_as_server(control, length);
    assert_int_equal(event.kind, WS_EVENT_PONG);
    assert_memory_equal(event.bytes, "abc", 3);
    length = ws_client_write_close(&client, control, WS_CLOSE_GOING_AWAY, "bye");
    assert_int_equal(control[2], 4);
    event = read_as_server(control, length);
    assert_int_equal(event.code, WS_CLOSE_GOING_AWAY);
    assert_memory_equal(event.bytes, "bye", 3);
}

/* --- the close handshake --- */

static struct ws_event read_event(const char *bytes, size_t length)
{
    struct ws_event event;
    uint8_t copy[64];

    memcpy(copy, bytes, length);
    assert_int_equal(ws_client_read(&client, copy, length, &event), length);
    return event;
}

static void messages_and_pings_are_reported_while_it_is_open(void **state)
{
    (void)state;
    open_client();
    assert_int_equal(read_event("\x82\x01x", 3).kind, WS_EVENT_DATA);
    assert_int_equal(read_event("\x89\x00", 2).kind, WS_EVENT_PING);
    assert_int_equal(read_event("\x8a\x00", 2).kind, WS_EVENT_PONG);
    assert_int_equal(read_event("\x82", 1).kind, WS_EVENT_NONE);
    assert_int_equal(client.state, WS_CLIENT_OPEN);
}

static void after_our_close_only_the_servers_is_reported(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    struct ws_event event;

    (void)state;
    open_client();
    assert_true(ws_client_write_close(&client, frame, WS_CLOSE_NORMAL, NULL) > 0);
    assert_int_equal(client.state, WS_CLIENT_CLOSING);
    assert_int_equal(read_event("\x82\x01x\x89\x00\x8a\x00\x01\x01y\x82", 11).kind, WS_EVENT_ERROR);
    assert_int_equal(client.state, WS_CLIENT_CLOSED);

    open_client();
    ws_client_write_close(&client, frame, WS_CLOSE_NORMAL, NULL);
    assert_int_equal(read_event("\x82\x01x\x89\x00\x8a\x00\x82\x01", 9).kind, WS_EVENT_NONE);
    event = read_event("y\x88\x02\x03\xe8", 5);
    assert_int_equal(event.kind, WS_EVENT_CLOSE);
    assert_int_equal(event.code, WS_CLOSE_NORMAL);
    assert_int_equal(client.state, WS_CLIENT_CLOSED);
    assert_int_equal(ws_client_write_close(&client, frame, event.code, NULL), 0);
    assert_int_equal(read_event("\x82\x01x", 3).kind, WS_EVENT_NONE);
}

static void the_servers_close_is_answered_once(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    struct ws_event event;
    size_t length;

    (void)state;
    open_client();
    event = read_event("\x88\x02\x10\xe1", 4);
    assert_int_equal(event.kind, WS_EVENT_CLOSE);
    assert_int_equal(event.code, 4321);
    length = ws_client_write_close(&client, frame, event.code, NULL);
    assert_int_equal(read_as_server(frame, length).code, 4321);
    assert_int_equal(client.state, WS_CLIENT_CLOSED);
    assert_int_equal(ws_client_write_close(&client, frame, event.code, NULL), 0);
    assert_int_equal(read_event("\x82\x01x", 3).kind, WS_EVENT_NONE);

    open_client();
    event = read_event("\x88\x00", 2);
    length = ws_client_write_close(&client, frame, event.code, NULL);
    assert_int_equal(length, 6);
    assert_int_equal(read_as_server(frame, length).code, WS_CLOSE_NO_STATUS);
}

static void an_error_is_answered_with_its_code(void **state)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    struct ws_event event;

    (void)state;
    open_client();
    event = read_event("\x82\x7e\x03\xe9", 4);
    assert_int_equal(event.kind, WS_EVENT_ERROR);
    assert_int_equal(event.code, WS_CLOSE_TOO_BIG);
    assert_int_equal(client.state, WS_CLIENT_CLOSED);
    assert_int_equal(read_as_server(frame, ws_client_write_close(&client, frame, event.code, event.reason)).code,
                     WS_CLOSE_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request),
        cmocka_unit_test(the_answer_may_come_in_any_pieces),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(an_answer_in_one_piece_needs_no_memory),
        cmocka_unit_test(answers_that_are_no_upgrade),
        cmocka_unit_test(the_explanation_of_a_refusal_is_left),
        cmocka_unit_test(answers_that_are_no_http),
        cmocka_unit_test(what_is_no_http_is_told_with_its_first_piece),
        cmocka_unit_test(an_answer_has_a_limit),
        cmocka_unit_test(a_piece_costs_no_look_at_the_pieces_before),
        cmocka_unit_test(every_frame_is_masked_with_a_mask_of_its_own),
        cmocka_unit_test(messages_and_pings_are_reported_while_it_is_open),
        cmocka_unit_test(after_our_close_only_the_servers_is_reported),
        cmocka_unit_test(the_servers_close_is_answered_once),
        cmocka_unit_test(an_error_is_answered_with_its_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
