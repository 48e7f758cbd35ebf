/* The upgrade of one subscriber: request parsed and checked, answer written. */
#include "cbench/cbench.h"

#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"

#include <string.h>

/* The request of a common client library, as it arrives through a proxy. */
static const char request_text[] = "GET /ws/0123456789abcdef0123456789abcdef HTTP/1.1\r\n"
                                   "Host: flashblocks.example.org\r\n"
                                   "User-Agent: bench/1.0\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "X-Forwarded-For: 203.0.113.7, 198.51.100.17\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                   "Sec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                                   "\r\n";

CBENCH(http_parse_upgrade)
{
    struct http_request request;
    const char *error;
    size_t consumed;

    while (cbench_next(bench)) {
        if (http_request_parse(&request, request_text, sizeof request_text - 1, &consumed, &error) != HTTP_PARSE_DONE ||
            ws_upgrade_check(&request) != WS_UPGRADE_OK)
            cbench_fail(bench, "the request was refused");
    }
}

CBENCH(http_answer_upgrade)
{
    const struct http_text key = {"dGhlIHNhbXBsZSBub25jZQ==", 24};
    char accept[WS_ACCEPT_TEXT_BYTES], answer[256];

    while (cbench_next(bench)) {
        ws_accept_key(key, accept);
        cbench_keep(ws_write_upgrade_answer(answer, sizeof answer, accept));
        cbench_keep(answer);
    }
}
