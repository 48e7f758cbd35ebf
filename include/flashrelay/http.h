/*
 * HTTP/1.1 as far as a WebSocket relay needs it (RFC 9112), sans-I/O: requests to a server and its answers.
 */
#ifndef FLASHRELAY_HTTP_H
#define FLASHRELAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_REQUEST_BYTES 8192 /* request line and headers: beyond it 431 */
#define HTTP_MAX_HEADERS       64

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
 * Looks for the end of a head that comes in pieces: the empty line behind at least one line with text (RFC 9112, 2.1 and 2.2). The first
 * `searched` bytes are known not to hold it; of them only the last four are looked at. Returns the head's length with its empty line,
 * or 0 if the end is not there yet: a parser would then say INCOMPLETE, or BAD already, and need not be asked before.
 */
size_t http_head_find_end(const char *bytes, size_t length, size_t searched);

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

struct http_answer {
    int status;                /* reason phrase follows from it */
    const char *content_type;  /* NULL: none */
    const char *extra_headers; /* NULL, or whole lines each with CRLF, e.g. "Allow: GET,HEAD\r\n" */
    const char *body;          /* NULL: empty */
    bool head_only;            /* answer to HEAD: Content-Length, no body */
};

/* Writes a whole answer with Connection: close and Content-Length. Length, or -ENOSPC. */
long http_write_answer(char *out, size_t capacity, const struct http_answer *answer);

#endif
