#include "http/head.h"

#include <string.h>

static const char END[] = "\r\n\r\n";
enum { END_BYTES = sizeof END - 1 };

size_t http_head_find_end(const char *bytes, size_t length, size_t searched)
{
    size_t from = searched < END_BYTES ? 0 : searched - (END_BYTES - 1);
    const char *end;

    while ((end = memmem(bytes + from, length - from, END, END_BYTES))) {
        size_t offset = (size_t)(end - bytes);

        if (offset > 0 && bytes[offset - 1] != '\n')
            return offset + END_BYTES;
        from = offset + END_BYTES / 2; /* this match belongs to empty lines before the first line */
    }
    return 0;
}

void http_head_begin(struct http_head *head, const char *bytes, size_t length)
{
    head->is_cut = length >= HTTP_MAX_REQUEST_BYTES;
    head->bytes = bytes;
    head->length = head->is_cut ? HTTP_MAX_REQUEST_BYTES : length;
    head->offset = 0;
    head->error = NULL;
}

static enum http_parse_result fail(struct http_head *head, const char *error)
{
    head->error = error;
    return HTTP_PARSE_BAD;
}

/* The offset of the first control character (RFC 9110, 5.5: all but the tab, and DEL), or `end`. */
static size_t find_control(const char *bytes, size_t offset, size_t end)
{
    while (offset < end) {
        unsigned char c = (unsigned char)bytes[offset];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            break;
        offset++;
    }
    return offset;
}

enum http_parse_result http_head_next_line(struct http_head *head, struct http_text *line)
{
    size_t end = find_control(head->bytes, head->offset, head->length);

    if (end < head->length && head->bytes[end] == '\n')
        return fail(head, "a line ends with LF, expected CRLF");
    if (end < head->length && head->bytes[end] != '\r')
        return fail(head, "control character in the head");
    if (end + 1 >= head->length)
        return head->is_cut ? HTTP_PARSE_TOO_LARGE : HTTP_PARSE_INCOMPLETE;
    if (head->bytes[end + 1] != '\n')
        return fail(head, "CR without LF");
    *line = (struct http_text){head->bytes + head->offset, end - head->offset};
    head->offset = end + 2;
    return HTTP_PARSE_DONE;
}

/* RFC 9112, 5.1 and 5.2: no white space before the colon, no folding. */
static enum http_parse_result parse_header(struct http_head *head, struct http_text line, struct http_header *header)
{
    if (line.text[0] == ' ' || line.text[0] == '\t')
        return fail(head, "folded header line");
    if (!memchr(line.text, ':', line.length))
        return fail(head, "header line without a colon");
    header->name = http_text_split(&line, ':');
    header->value = http_text_trim(line);
    if (!http_text_is_token(header->name))
        return fail(head, "header name is not a token");
    return HTTP_PARSE_DONE;
}

enum http_parse_result http_head_parse_headers(struct http_head *head, struct http_header *headers, unsigned *count)
{
    enum http_parse_result result;
    struct http_text line;

    *count = 0;
    while ((result = http_head_next_line(head, &line)) == HTTP_PARSE_DONE && line.length != 0) {
        if (*count == HTTP_MAX_HEADERS)
            return HTTP_PARSE_TOO_LARGE;
        result = parse_header(head, line, &headers[*count]);
        if (result != HTTP_PARSE_DONE)
            return result;
        ++*count;
    }
    return result;
}

const struct http_header *http_find_header(const struct http_header *headers, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (http_text_equals_ignoring_case(headers[i].name, name))
            return &headers[i];
    return NULL;
}

unsigned http_count_headers(const struct http_header *headers, unsigned count, const char *name)
{
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++)
        if (http_text_equals_ignoring_case(headers[i].name, name))
            found++;
    return found;
}

static bool list_has_token(struct http_text list, const char *token)
{
    while (list.length != 0)
        if (http_text_equals_ignoring_case(http_text_trim(http_text_split(&list, ',')), token))
            return true;
    return false;
}

bool http_header_has_token(const struct http_header *headers, unsigned count, const char *name, const char *token)
{
    for (unsigned i = 0; i < count; i++)
        if (http_text_equals_ignoring_case(headers[i].name, name) && list_has_token(headers[i].value, token))
            return true;
    return false;
}
