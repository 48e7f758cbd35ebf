/*
 * HTTP/1.1 as far as a WebSocket relay needs it (RFC 9112), sans-I/O: requests to a server and its answers. Any thread may call these
 * functions, which keep no state.
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
 * Finds the end of a head that comes in pieces: the empty line behind at least one line with text (RFC 9112, 2.1 and 2.2). The caller knows
 * that the end is not within the first `searched` bytes; only the last four of them are read again. Returns the head's length with its
 * empty line, or 0 if the end has not come yet: a parser could then say no more than INCOMPLETE, or BAD, so calling it can wait.
 */
size_t http_head_find_end(const char *bytes, size_t length, size_t searched);

/*
 * Parses a request head. INCOMPLETE: more bytes are needed. DONE: *consumed is the head's length with its empty line; texts point into
 * `bytes`, an empty path becomes a static "/". BAD: `*error` says what is wrong (static text). TOO_LARGE: the head is larger than
 * HTTP_MAX_REQUEST_BYTES or HTTP_MAX_HEADERS. Strict: refuses lines that end with LF alone, folded headers and control characters but tabs.
 */
enum http_parse_result http_request_parse(struct http_request *request, const char *bytes, size_t length, size_t *consumed,
                                          const char **error);

/* The first header of that name (case-insensitive), or NULL. */
const struct http_header *http_find_header(const struct http_header *headers, unsigned count, const char *name);

/* True if one of the comma-separated items of any header `name` is `token`, case-insensitive (RFC 9110, 5.6.1). */
bool http_header_has_token(const struct http_header *headers, unsigned count, const char *name, const char *token);

/* Percent-decodes into `out` of `capacity` bytes, without terminator (RFC 3986, 2.1). The length, -EINVAL (bad escape) or -ENOSPC. */
long http_percent_decode(struct http_text text, char *out, size_t capacity);

struct http_answer {
    int status;                /* determines the reason phrase */
    const char *content_type;  /* NULL: none */
    const char *extra_headers; /* NULL, or whole lines each with CRLF, e.g. "Allow: GET,HEAD\r\n" */
    const char *body;          /* NULL: empty */
    bool head_only;            /* answer to HEAD: Content-Length, no body */
};

/* Writes a whole answer, with Connection: close, Content-Length and a terminator. The length without terminator, or -ENOSPC. */
long http_write_answer(char *out, size_t capacity, const struct http_answer *answer);

#endif
