/* The server's side of the HTTP upgrade to WebSocket (RFC 6455, 4.2), sans-I/O. The client's is in ws_client.h. Any thread. */
#ifndef FLASHRELAY_WS_UPGRADE_H
#define FLASHRELAY_WS_UPGRADE_H

#include "flashrelay/http.h"

#define WS_ACCEPT_TEXT_BYTES 29 /* base64 of a SHA-1, with terminator */

/* What is wrong with a request as a WebSocket upgrade (RFC 6455, 4.2.1), in the order in which it is checked. */
enum ws_upgrade_check {
    WS_UPGRADE_OK,
    WS_UPGRADE_BAD_METHOD,     /* 405 */
    WS_UPGRADE_BAD_CONNECTION, /* 400: no Connection: upgrade */
    WS_UPGRADE_BAD_UPGRADE,    /* 400: no Upgrade: websocket */
    WS_UPGRADE_BAD_VERSION,    /* 426 with Sec-WebSocket-Version: 13 */
    WS_UPGRADE_NO_KEY,         /* 400: no Sec-WebSocket-Key, or several */
};

/*
 * Checks a request. The value of the key is not checked: RFC 6455 wants 16 bytes of base64, but clients with other keys exist and work with
 * servers that hash any value.
 */
enum ws_upgrade_check ws_upgrade_check(const struct http_request *request);

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2 step 5.4). */
void ws_accept_key(struct http_text key, char accept[WS_ACCEPT_TEXT_BYTES]);

/* Writes the 101 answer and a terminator; returns its length, below 256 bytes. `capacity` must be large enough. */
size_t ws_write_upgrade_answer(char *out, size_t capacity, const char accept[WS_ACCEPT_TEXT_BYTES]);

#endif
