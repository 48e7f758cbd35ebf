#include "ws/upgrade_client.h"

#include "flashrelay/ws_upgrade.h"
#include "http/base64.h"
#include "http/head.h"
#include "http/writer.h"

#include <string.h>

static bool is_default_port(const struct ws_uri *uri)
{
    return uri->port == (uri->tls ? 443 : 80);
}

long ws_write_upgrade_request(char *out, size_t capacity, const struct ws_uri *uri, const uint8_t key[16])
{
    struct http_writer writer = {.out = out, .capacity = capacity};
    char key_text[BASE64_LENGTH(16) + 1];
    bool is_v6 = strchr(uri->host, ':') != NULL;

    base64_encode(key_text, key, 16);
    http_write(&writer, "GET %s HTTP/1.1\r\nHost: %s%s%s", uri->target, is_v6 ? "[" : "", uri->host, is_v6 ? "]" : "");
    if (!is_default_port(uri))
        http_write(&writer, ":%u", uri->port);
    http_write(&writer,
               "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
               "Sec-WebSocket-Version: 13\r\nUser-Agent: flashrelay\r\n",
               key_text);
    if (uri->authorization)
        http_write(&writer, "Authorization: %s\r\n", uri->authorization);
    http_write(&writer, "\r\n");
    return http_writer_result(&writer);
}

/* HTTP/1.x SP status SP reason (RFC 9112, 4). The status, or -1. */
static int parse_status_line(struct http_text line)
{
    const char *s = line.text;

    if (line.length < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[7] < '0' || s[7] > '9' || s[8] != ' ')
        return -1;
    for (int i = 9; i < 12; i++)
        if (s[i] < '0' || s[i] > '9')
            return -1;
    if (line.length > 12 && s[12] != ' ')
        return -1;
    return (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
}

/* Why a 101 does not agree to the upgrade that we asked for (RFC 6455, 4.1); NULL if it does. */
static const char *check_switch(const struct http_header *headers, unsigned count, const uint8_t key[16])
{
    const struct http_header *accept = http_find_header(headers, count, "sec-websocket-accept");
    char key_text[BASE64_LENGTH(16) + 1];
    char expected[WS_ACCEPT_TEXT_BYTES];

    if (!http_header_has_token(headers, count, "upgrade", "websocket"))
        return "switched without \"Upgrade: websocket\"";
    if (!http_header_has_token(headers, count, "connection", "upgrade"))
        return "switched without \"Connection: Upgrade\"";
    base64_encode(key_text, key, 16);
    ws_accept_key((struct http_text){key_text, sizeof key_text - 1}, expected);
    if (!accept || !http_text_equals(accept->value, expected))
        return "Sec-WebSocket-Accept does not belong to our key";
    if (http_find_header(headers, count, "sec-websocket-extensions"))
        return "switched with an extension that was not asked for";
    if (http_find_header(headers, count, "sec-websocket-protocol"))
        return "switched to a subprotocol that was not asked for";
    return NULL;
}

/* Parses the head of an answer. BAD sets head->error. */
static enum http_parse_result parse_answer(struct http_head *head, int *status, struct http_header *headers, unsigned *count)
{
    struct http_text line;
    enum http_parse_result result = http_head_next_line(head, &line);

    if (result != HTTP_PARSE_DONE)
        return result;
    *status = parse_status_line(line);
    if (*status < 0) {
        head->error = "not an HTTP/1.x answer";
        return HTTP_PARSE_BAD;
    }
    return http_head_parse_headers(head, headers, count);
}

bool ws_answer_is_interim(const struct ws_client_answer *answer)
{
    return answer->status / 100 == 1 && answer->status != 101;
}

static void set_error(struct ws_client_answer *answer, const char *error)
{
    snprintf(answer->error, sizeof answer->error, "%s", error);
}

void ws_answer_refuse_too_large(struct ws_client_answer *answer)
{
    answer->status = 0;
    set_error(answer, "answer with too many or too large headers");
}

static void check_answer(struct ws_client_answer *answer, const struct http_header *headers, unsigned count,
                         const uint8_t key[16])
{
    const char *wrong;

    if (answer->status != 101) {
        snprintf(answer->error, sizeof answer->error, "answered with status %d, expected 101", answer->status);
        return;
    }
    wrong = check_switch(headers, count, key);
    if (wrong)
        set_error(answer, wrong);
}

enum http_parse_result ws_parse_upgrade_answer(struct ws_client_answer *answer, const char *bytes, size_t length,
                                               const uint8_t key[16], size_t *consumed)
{
    struct http_header headers[HTTP_MAX_HEADERS];
    struct http_head head;
    enum http_parse_result result;
    unsigned count;

    *answer = (struct ws_client_answer){0};
    http_head_begin(&head, bytes, length);
    result = parse_answer(&head, &answer->status, headers, &count);
    switch (result) {
    case HTTP_PARSE_INCOMPLETE:
        break;
    case HTTP_PARSE_DONE:
        *consumed = head.offset;
        if (!ws_answer_is_interim(answer))
            check_answer(answer, headers, count, key);
        break;
    case HTTP_PARSE_BAD:
        answer->status = 0;
        set_error(answer, head.error);
        break;
    case HTTP_PARSE_TOO_LARGE:
        ws_answer_refuse_too_large(answer);
        break;
    }
    return result;
}
