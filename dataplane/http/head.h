/* What requests and answers have in common: lines, header fields, character classes (RFC 9112, 2 to 5; RFC 9110, 5). */
#ifndef DATAPLANE_HTTP_HEAD_H
#define DATAPLANE_HTTP_HEAD_H

#include "flashrelay/http.h"

/* A head that is being parsed. `bytes` begins with its first line. */
struct http_head {
    const char *bytes;
    size_t length; /* never above HTTP_MAX_REQUEST_BYTES */
    size_t offset; /* of the next line */
    bool is_cut;   /* `length` is at its limit: a head that is not complete is too large */
    const char *error;
};

void http_head_begin(struct http_head *head, const char *bytes, size_t length);

/* Takes the next line, without its CRLF. Any result but DONE is that of parsing the whole head; BAD sets head->error. */
enum http_parse_result http_head_next_line(struct http_head *head, struct http_text *line);

/* Takes all header lines and the empty line behind them; results as above. TOO_LARGE if there are more than HTTP_MAX_HEADERS. */
enum http_parse_result http_head_parse_headers(struct http_head *head, struct http_header *headers, unsigned *count);

/* How many headers have that name (case-insensitive). */
unsigned http_count_headers(const struct http_header *headers, unsigned count, const char *name);

/* True for a non-empty token (RFC 9110, 5.6.2). */
bool http_text_is_token(struct http_text text);

/* True if the text equals a terminated one; the second function ignores the case of ASCII letters. */
bool http_text_equals(struct http_text text, const char *other);
bool http_text_equals_ignoring_case(struct http_text text, const char *other);

/* The text before the first `separator`, or all of it; *text becomes what is behind the separator (empty if there is none). */
struct http_text http_text_split(struct http_text *text, char separator);

/* The text without surrounding spaces and tabs. */
struct http_text http_text_trim(struct http_text text);

#endif
