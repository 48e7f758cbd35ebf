/*
 * HTTP/1.1 as far as a WebSocket relay needs it (RFC 9112, RFC 6455 section 4), sans-I/O: requests to a server, and a client's upgrade.
 */
#ifndef FLASHRELAY_HTTP_H
#define FLASHRELAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_REQUEST_BYTES 8192 /* request line and headers: beyond it 431 */
#define HTTP_MAX_HEADERS       64
#define WS_ACCEPT_TEXT_BYTES   29 /* base64 of a SHA-1, with terminator */

struct http_text {
    const char *text; /* not terminated; in the caller's buffer */
    size_t length;
};

struct http_header {
    struct http_text name, value; /* value without surrounding white space */
};

struct http_request {
    struct http_text method, path, query; /* path percent-encoded as sent, without the query; query without '?' */
    uint8_t minor_version;                /* of HTTP/1.x */
    unsigned header_count;
    struct http_header headers[HTTP_MAX_HEADERS];
};

enum http_parse_result { HTTP_PARSE_INCOMPLETE, HTTP_PARSE_DONE, HTTP_PARSE_BAD, HTTP_PARSE_TOO_LARGE };

/*
 * Parses a request head. DONE: *consumed is the head's length with its empty line; texts point into `bytes`. BAD: `*error` says what was
 * wrong (static text). TOO_LARGE: over HTTP_MAX_REQUEST_BYTES or HTTP_MAX_HEADERS. Strict: no bare LF tricks, folding, or NUL.
 */
enum http_parse_result http_request_parse(struct http_request *request, const char *bytes, size_t length, size_t *consumed,
                                          const char **error);

/* The first header of that name (case-insensitive), or NULL. */
const struct http_header *http_find_header(const struct http_header *headers, unsigned count, const char *name);

/* True if one of the comma-separated items of any header `name` is `token`, case-insensitive (RFC 9110, 5.6.1). */
bool http_header_has_token(const struct http_header *headers, unsigned count, const char *name, const char *token);

/* Percent-decodes into `out` of `capacity` bytes (RFC 3986, 2.1). Length, or -EINVAL (bad escape), -ENOSPC. No terminator. */
long http_percent_decode(struct http_text text, char *out, size_t capacity);

/* What is wrong with a request as a WebSocket upgrade (RFC 6455, 4.2.1), in the order in which it is checked. */
enum ws_upgrade_check {
    WS_UPGRADE_OK,
    WS_UPGRADE_BAD_METHOD,     /* 405 */
    WS_UPGRADE_BAD_CONNECTION, /* 400: no Connection: upgrade */
    WS_UPGRADE_BAD_UPGRADE,    /* 400: no Upgrade: websocket */
    WS_UPGRADE_BAD_VERSION,    /* 426 with Sec-WebSocket-Version: 13 */
    WS_UPGRADE_BAD_KEY,        /* 400: Sec-WebSocket-Key missing or not 16 bytes of base64 */
};
enum ws_upgrade_check ws_upgrade_check(const struct http_request *request);

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2 step 5.4). */
void ws_accept_key(struct http_text key, char accept[WS_ACCEPT_TEXT_BYTES]);

/* Writes the 101 answer; returns its length (below 256). */
size_t ws_write_upgrade_answer(char *out, size_t capacity, const char accept[WS_ACCEPT_TEXT_BYTES]);

struct http_answer {
    int status;                /* reason phrase follows from it */
    const char *content_type;  /* NULL: none */
    const char *extra_headers; /* NULL, or whole lines each with CRLF, e.g. "Allow: GET,HEAD\r\n" */
    const char *body;          /* NULL: empty */
    bool head_only;            /* answer to HEAD: Content-Length, no body */
};

/* Writes a whole answer with Connection: close and Content-Length. Length, or -ENOSPC. */
long http_write_answer(char *out, size_t capacity, const struct http_answer *answer);

/* --- client --- */

/*
 * A ws:// or wss:// URI, split and owned (RFC 6455, 3; RFC 3986). Secrets are the user information, the query and the key in a path like
 * /ws/{api_key}: no error names them, `display` and `identity` leave the first two out and show the key as "***".
 */
struct ws_uri {
    bool tls;
    char host[256];      /* name, or address without brackets */
    uint16_t port;       /* default 80 or 443 */
    char *target;        /* path and query, at least "/"; owned */
    char *authorization; /* "Basic ..." from user information, or NULL; owned; never logged */
    char *display;       /* scheme, host, port and path, for logs; no secrets; owned */
    char *identity;      /* the URI as given, for metrics; no secrets; owned */
};

/* 0, -EINVAL with a static explanation in *error, or -ENOMEM. */
int ws_uri_parse(struct ws_uri *uri, const char *text, const char **error);
void ws_uri_dispose(struct ws_uri *uri);

/* Writes the GET with upgrade headers; `key` is 16 random bytes. Length, or -ENOSPC. */
long ws_write_upgrade_request(char *out, size_t capacity, const struct ws_uri *uri, const uint8_t key[16]);

struct ws_upgrade_answer {
    int status;
    char error[128]; /* what was wrong, for the log; empty if upgraded */
};

/* Parses the server's answer to the request with `key` (RFC 6455, 4.1). DONE with status 101 and empty error: upgraded. */
enum http_parse_result ws_upgrade_answer_parse(struct ws_upgrade_answer *answer, const char *bytes, size_t length,
                                               const uint8_t key[16], size_t *consumed);

#endif
