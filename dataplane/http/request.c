#include "http/head.h"

#include <string.h>

/* Cuts an absolute-form target (RFC 9112, 3.2.2) down to its path and query; false if it is not one of http or https. */
static bool strip_authority(struct http_text *target)
{
    struct http_text rest = *target;
    struct http_text scheme = http_text_split(&rest, ':');
    size_t authority = 2;

    if (!http_text_equals_ignoring_case(scheme, "http") && !http_text_equals_ignoring_case(scheme, "https"))
        return false;
    if (rest.length < 3 || memcmp(rest.text, "//", 2) != 0)
        return false;
    while (authority < rest.length && rest.text[authority] != '/' && rest.text[authority] != '?')
        authority++;
    *target = (struct http_text){rest.text + authority, rest.length - authority};
    return authority > 2;
}

static const char *parse_target(struct http_request *request, struct http_text target)
{
    for (size_t i = 0; i < target.length; i++) {
        unsigned char c = (unsigned char)target.text[i];

        if (c <= ' ' || c > '~' || c == '#')
            return "request target has a character that must be percent-encoded";
    }
    if ((target.length == 0 || target.text[0] != '/') && !strip_authority(&target))
        return "request target is neither a path nor an http URI";
    request->path = http_text_split(&target, '?');
    request->query = target;
    if (request->path.length == 0)
        request->path = (struct http_text){"/", 1};
    return NULL;
}

/* method SP target SP HTTP/1.x, with single spaces (RFC 9112, 3). Returns what is wrong, or NULL. */
static const char *parse_request_line(struct http_request *request, struct http_text line)
{
    const char *error;

    request->method = http_text_split(&line, ' ');
    if (!http_text_is_token(request->method))
        return "request method is not a token";
    error = parse_target(request, http_text_split(&line, ' '));
    if (error != 0)
        return error;
    if (line.length != 8 || memcmp(line.text, "HTTP/1.", 7) != 0 || line.text[7] < '0' || line.text[7] > '9')
        return "HTTP version is not 1.x";
    request->minor_version = (uint8_t)(line.text[7] - '0');
    return NULL;
}

/* RFC 9112, 3.2: an HTTP/1.1 request has exactly one Host. */
static const char *check_host(const struct http_request *request)
{
    unsigned count = http_count_headers(request->headers, request->header_count, "host");
    const struct http_header *host = http_find_header(request->headers, request->header_count, "host");

    if (count > 1)
        return "more than one Host header";
    if (count == 0)
        return request->minor_version >= 1 ? "no Host header" : NULL;
    for (size_t i = 0; i < host->value.length; i++)
        if (strchr(" \t/?#@\\", host->value.text[i]))
            return "Host header is not a host";
    return NULL;
}

static bool is_content_length(struct http_text value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.text[i] < '0' || value.text[i] > '9')
            return false;
    return value.length != 0;
}

static bool is_zero(struct http_text digits)
{
    for (size_t i = 0; i < digits.length; i++)
        if (digits.text[i] != '0')
            return false;
    return true;
}

/*
 * RFC 9112, 6: there must be no doubt where the request ends. A GET or HEAD with content is refused, so that content is never read as
 * WebSocket frames; the caller refuses other methods and closes their connections.
 */
static const char *check_content(const struct http_request *request)
{
    unsigned lengths = http_count_headers(request->headers, request->header_count, "content-length");
    const struct http_header *length = http_find_header(request->headers, request->header_count, "content-length");
    bool has_coding = http_find_header(request->headers, request->header_count, "transfer-encoding") != NULL;
    bool is_get_or_head = http_text_equals(request->method, "GET") || http_text_equals(request->method, "HEAD");

    if (lengths > 1 || (lengths == 1 && !is_content_length(length->value)))
        return "Content-Length is not one decimal number";
    if (has_coding && (lengths != 0 || request->minor_version == 0))
        return "Transfer-Encoding with Content-Length or in HTTP/1.0";
    if (is_get_or_head && (has_coding || (lengths == 1 && !is_zero(length->value))))
        return "content in a GET or HEAD request";
    return NULL;
}

static enum http_parse_result fail(const char **error, const char *what)
{
    *error = what;
    return HTTP_PARSE_BAD;
}

/* RFC 9112, 2.2: empty lines before the request line are ignored. */
static enum http_parse_result next_line_with_text(struct http_head *head, struct http_text *line)
{
    enum http_parse_result result;

    do {
        result = http_head_next_line(head, line);
    } while (result == HTTP_PARSE_DONE && line->length == 0);
    return result;
}

enum http_parse_result http_request_parse(struct http_request *request, const char *bytes, size_t length, size_t *consumed,
                                          const char **error)
{
    struct http_head head;
    struct http_text line;
    enum http_parse_result result;
    const char *wrong;

    http_head_begin(&head, bytes, length);
    *error = NULL;
    result = next_line_with_text(&head, &line);
    if (result == HTTP_PARSE_DONE) {
        wrong = parse_request_line(request, line);
        if (wrong)
            return fail(error, wrong);
        result = http_head_parse_headers(&head, request->headers, &request->header_count);
    }
    if (result == HTTP_PARSE_BAD)
        return fail(error, head.error);
    if (result != HTTP_PARSE_DONE)
        return result;
    wrong = check_host(request);
    if (!wrong)
        wrong = check_content(request);
    if (wrong)
        return fail(error, wrong);
    *consumed = head.offset;
    return HTTP_PARSE_DONE;
}
