/* OpenSSL's old SHA-1 functions neither allocate nor fail; its new interface fetches an implementation for each hash. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "http/base64.h"
#include "http/head.h"

#include "flashrelay/ws_upgrade.h"
#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static bool has_token(const struct http_request *request, const char *name, const char *token)
{
    return http_header_has_token(request->headers, request->header_count, name, token);
}

/* The value of a header that must be there exactly once (RFC 6455, 11.3), or NULL. */
static const struct http_text *find_only(const struct http_request *request, const char *name)
{
    if (http_count_headers(request->headers, request->header_count, name) != 1)
        return NULL;
    return &http_find_header(request->headers, request->header_count, name)->value;
}

enum ws_upgrade_check ws_upgrade_check(const struct http_request *request)
{
    const struct http_text *version = find_only(request, "sec-websocket-version");
    const struct http_text *key = find_only(request, "sec-websocket-key");

    if (!http_text_equals(request->method, "GET"))
        return WS_UPGRADE_BAD_METHOD;
    if (!has_token(request, "connection", "upgrade"))
        return WS_UPGRADE_BAD_CONNECTION;
    /* An Upgrade in HTTP/1.0 is to be ignored (RFC 9110, 7.8). */
    if (request->minor_version == 0 || !has_token(request, "upgrade", "websocket"))
        return WS_UPGRADE_BAD_UPGRADE;
    if (!version || !http_text_equals(*version, "13"))
        return WS_UPGRADE_BAD_VERSION;
    if (!key)
        return WS_UPGRADE_NO_KEY;
    return WS_UPGRADE_OK;
}

void ws_accept_key(struct http_text key, char accept[WS_ACCEPT_TEXT_BYTES])
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA_CTX sha;

    static_assert(BASE64_LENGTH(SHA_DIGEST_LENGTH) + 1 == WS_ACCEPT_TEXT_BYTES, "base64 of a SHA-1");
    SHA1_Init(&sha);
    SHA1_Update(&sha, key.text, key.length);
    SHA1_Update(&sha, GUID, sizeof GUID - 1);
    SHA1_Final(digest, &sha);
    base64_encode(accept, digest, sizeof digest);
}

size_t ws_write_upgrade_answer(char *out, size_t capacity, const char accept[WS_ACCEPT_TEXT_BYTES])
{
    int length = snprintf(out, capacity,
                          "HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);

    assert(length > 0 && (size_t)length < capacity);
    return (size_t)length;
}
