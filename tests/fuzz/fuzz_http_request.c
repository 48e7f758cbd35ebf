/* The parser of request heads: texts stay inside the bytes given, and a request that comes in pieces gives the same result as in one. */
#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

static void check_inside(struct http_text text, const char *bytes, size_t length)
{
    if (text.length != 0 && (text.text < bytes || text.text + text.length > bytes + length))
        abort();
}

static void use(const struct http_request *request, const char *bytes, size_t consumed)
{
    char decoded[64];

    check_inside(request->method, bytes, consumed);
    if (request->path.length == 0)
        abort();
    check_inside(request->query, bytes, consumed);
    for (unsigned i = 0; i < request->header_count; i++) {
        check_inside(request->headers[i].name, bytes, consumed);
        check_inside(request->headers[i].value, bytes, consumed);
    }
    if (ws_upgrade_check(request) == WS_UPGRADE_OK) {
        char accept[WS_ACCEPT_TEXT_BYTES], answer[256];

        ws_accept_key(http_find_header(request->headers, request->header_count, "sec-websocket-key")->value, accept);
        ws_write_upgrade_answer(answer, sizeof answer, accept);
    }
    http_percent_decode(request->path, decoded, sizeof decoded);
}

/* Parses the first `length` bytes in memory of exactly that size. */
static enum http_parse_result parse(const uint8_t *input, size_t length, size_t *consumed, const char **error)
{
    struct http_request request;
    char *bytes = malloc(length + (length == 0));
    enum http_parse_result result;

    memcpy(bytes, input, length);
    result = http_request_parse(&request, bytes, length, consumed, error);
    if (result == HTTP_PARSE_DONE) {
        if (*consumed > length)
            abort();
        use(&request, bytes, *consumed);
    }
    free(bytes);
    return result;
}

/* Checks that a head's end is found where the parser ended, whatever part was searched before, and that no shorter part has an end. */
static void check_end(const uint8_t *input, size_t length, size_t consumed)
{
    for (size_t searched = 0; searched < consumed; searched += 1 + length / 100)
        if (http_head_find_end((const char *)input, length, searched) != consumed ||
            http_head_find_end((const char *)input, searched, 0) != 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    const char *error, *error_of_part;
    size_t consumed = 0, consumed_of_part = 0;
    enum http_parse_result result = parse(input, length, &consumed, &error);

    if (result == HTTP_PARSE_DONE)
        check_end(input, length, consumed);
    else if (result == HTTP_PARSE_INCOMPLETE && http_head_find_end((const char *)input, length, 0) != 0)
        abort();
    for (size_t part = 0; part < length; part += 1 + length / 100) {
        enum http_parse_result of_part = parse(input, part, &consumed_of_part, &error_of_part);

        if (of_part == HTTP_PARSE_INCOMPLETE)
            continue;
        if (of_part != result || error_of_part != error || consumed_of_part != consumed)
            abort();
        break;
    }
    return 0;
}
