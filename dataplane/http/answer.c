#include "flashrelay/http.h"
#include "http/writer.h"

#include <string.h>

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    default:
        return ""; /* RFC 9112, 4: may be empty */
    }
}

long http_write_answer(char *out, size_t capacity, const struct http_answer *answer)
{
    struct http_writer writer = {.out = out, .capacity = capacity};
    const char *body = answer->body ? answer->body : "";

    http_write(&writer, "HTTP/1.1 %d %s\r\n", answer->status, reason_phrase(answer->status));
    if (answer->content_type)
        http_write(&writer, "Content-Type: %s\r\n", answer->content_type);
    if (answer->extra_headers)
        http_write(&writer, "%s", answer->extra_headers);
    http_write(&writer, "Content-Length: %zu\r\nConnection: close\r\n\r\n", strlen(body));
    if (!answer->head_only)
        http_write(&writer, "%s", body);
    return http_writer_result(&writer);
}
