#include "flashrelay/address.h"
#include "flashrelay/ws_uri.h"
#include "http/base64.h"
#include "http/head.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The parts of a URI as they stand in its text. */
struct parts {
    struct http_text user_information, host, port, path, query;
    bool has_user_information, has_port, has_query, is_v6;
};

static struct http_text text_until(struct http_text *rest, const char *stops)
{
    struct http_text first = {rest->text, 0};

    while (first.length < rest->length && !strchr(stops, rest->text[first.length]))
        first.length++;
    rest->text += first.length;
    rest->length -= first.length;
    return first;
}

static const char *take_scheme(struct ws_uri *uri, struct http_text *rest)
{
    struct http_text scheme = text_until(rest, ":");

    uri->tls = http_text_equals_ignoring_case(scheme, "wss");
    if ((!uri->tls && !http_text_equals_ignoring_case(scheme, "ws")) || rest->length < 3 || memcmp(rest->text, "://", 3) != 0)
        return "expected ws:// or wss://";
    rest->text += 3;
    rest->length -= 3;
    return NULL;
}

static const char *check_characters(struct http_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.text[i];

        if (c <= ' ' || c > '~')
            return "white space, control and non-ASCII characters must be percent-encoded";
        if (c == '#')
            return "a fragment (#) is not allowed in a WebSocket URI; as part of a name or password write %23";
    }
    return NULL;
}

/* User information ends at the last '@', so that an '@' in a password does no harm. */
static void split_user_information(struct parts *parts, struct http_text *authority)
{
    const char *at = authority->length == 0 ? NULL : memrchr(authority->text, '@', authority->length);

    parts->has_user_information = at != NULL;
    if (!at)
        return;
    parts->user_information = (struct http_text){authority->text, (size_t)(at - authority->text)};
    authority->length -= parts->user_information.length + 1;
    authority->text = at + 1;
}

static const char *split_host_and_port(struct parts *parts, struct http_text authority)
{
    parts->is_v6 = authority.length != 0 && authority.text[0] == '[';
    if (parts->is_v6) {
        authority.text++;
        authority.length--;
        parts->host = text_until(&authority, "]");
        if (authority.length == 0)
            return "an IPv6 address is not closed by ]";
        authority.text++;
        authority.length--;
    } else {
        parts->host = text_until(&authority, ":");
    }
    if (authority.length == 0)
        return NULL;
    if (authority.text[0] != ':')
        return "expected :port or a path behind the IPv6 address";
    parts->has_port = true;
    parts->port = (struct http_text){authority.text + 1, authority.length - 1};
    return NULL;
}

static const char *split_uri(struct ws_uri *uri, struct parts *parts, const char *text)
{
    struct http_text rest = {text, strlen(text)};
    struct http_text authority;
    const char *wrong = take_scheme(uri, &rest);

    if (!wrong)
        wrong = check_characters(rest);
    if (wrong)
        return wrong;
    authority = text_until(&rest, "/?");
    parts->path = text_until(&rest, "?");
    parts->has_query = rest.length != 0;
    if (parts->has_query)
        parts->query = (struct http_text){rest.text + 1, rest.length - 1};
    split_user_information(parts, &authority);
    return split_host_and_port(parts, authority);
}

static bool is_host_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
}

static const char *take_host(struct ws_uri *uri, const struct parts *parts)
{
    struct ip_address ip;

    if (parts->host.length == 0)
        return "the host is missing";
    if (parts->host.length >= sizeof uri->host)
        return "the host name is too long";
    if (parts->is_v6) {
        if (!memchr(parts->host.text, ':', parts->host.length) ||
            ip_address_parse(&ip, parts->host.text, parts->host.length) != 0)
            return "the text in brackets is not an IPv6 address";
    } else {
        for (size_t i = 0; i < parts->host.length; i++)
            if (!is_host_character(parts->host.text[i]))
                return "the host name has a character other than letters, digits, '-', '.' and '_'";
    }
    memcpy(uri->host, parts->host.text, parts->host.length);
    uri->host[parts->host.length] = '\0';
    return NULL;
}

static const char *take_port(struct ws_uri *uri, const struct parts *parts)
{
    static const char RANGE[] = "the port is not a number from 1 to 65535";
    uint32_t port = 0;

    if (!parts->has_port) {
        uri->port = uri->tls ? 443 : 80;
        return NULL;
    }
    for (size_t i = 0; i < parts->port.length; i++) {
        if (parts->port.text[i] < '0' || parts->port.text[i] > '9')
            return RANGE;
        port = port * 10 + (uint32_t)(parts->port.text[i] - '0');
        if (port > UINT16_MAX)
            return RANGE;
    }
    if (port == 0)
        return RANGE;
    uri->port = (uint16_t)port;
    return NULL;
}

static bool has_control_character(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return true;
    return false;
}

/* Decodes the user and the password of "user:password" into `out`, which has room for `text` and a colon. The length, or 0 and *error. */
static size_t decode_user_information(struct http_text text, char *out, size_t capacity, const char **error)
{
    struct http_text user = http_text_split(&text, ':');
    long user_length = http_percent_decode(user, out, capacity);
    long password_length;

    *error = "a bad percent escape in the user information; a % of its own is written %25";
    if (user_length < 0)
        return 0;
    if (memchr(out, ':', (size_t)user_length)) {
        *error = "the user name has a colon, which basic authentication can't transport";
        return 0;
    }
    out[user_length++] = ':';
    password_length = http_percent_decode(text, out + user_length, capacity - (size_t)user_length);
    if (password_length < 0)
        return 0;
    if (has_control_character(out, (size_t)(user_length + password_length))) {
        *error = "the user information has a control character";
        return 0;
    }
    *error = NULL;
    return (size_t)(user_length + password_length);
}

/* RFC 7617, 2. */
static int take_authorization(struct ws_uri *uri, const struct parts *parts, const char **error)
{
    static const char BASIC[] = "Basic ";
    size_t capacity = parts->user_information.length + 1;
    size_t length;
    char *plain;

    if (!parts->has_user_information || parts->user_information.length == 0)
        return 0;
    plain = malloc(capacity);
    uri->authorization = malloc(sizeof BASIC + BASE64_LENGTH(capacity));
    if (!plain || !uri->authorization) {
        free(plain);
        return -ENOMEM;
    }
    length = decode_user_information(parts->user_information, plain, capacity, error);
    memcpy(uri->authorization, BASIC, sizeof BASIC);
    base64_encode(uri->authorization + sizeof BASIC - 1, plain, length);
    explicit_bzero(plain, capacity);
    free(plain);
    return length == 0 ? -EINVAL : 0;
}

__attribute__((format(printf, 2, 3))) static int format_text(char **out, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vasprintf(out, format, arguments);
    va_end(arguments);
    if (length >= 0)
        return 0;
    *out = NULL;
    return -ENOMEM;
}

/* The API key in a path such as /ws/{api_key}/filter, which relays like this one serve; an empty text at the path's end if there is none. */
static struct http_text find_api_key(struct http_text path)
{
    const char *found = path.length == 0 ? NULL : memmem(path.text, path.length, "/ws/", 4);
    const char *end = path.text + path.length;
    struct http_text rest = {end, 0};

    if (found)
        rest = (struct http_text){found + 4, (size_t)(end - found) - 4};
    return text_until(&rest, "/");
}

/* The path, with "***" in the place of an API key. */
static int format_shown_path(char **shown, struct http_text path)
{
    struct http_text key = find_api_key(path);
    const char *behind = key.text + key.length;

    return format_text(shown, "%.*s%s%.*s", (int)(key.text - path.text), path.text, key.length == 0 ? "" : "***",
                       (int)(path.text + path.length - behind), behind);
}

/* Makes the target of the request (RFC 6455, 3) and the texts for logs and metrics, which contain no secrets. */
static int format_texts(struct ws_uri *uri, const struct parts *parts)
{
    const char *scheme = uri->tls ? "wss" : "ws", *slash = parts->path.length == 0 ? "/" : "";
    char host[sizeof uri->host + 2];
    char *shown_path;
    int result = format_shown_path(&shown_path, parts->path);

    snprintf(host, sizeof host, parts->is_v6 ? "[%s]" : "%s", uri->host);
    if (result == 0)
        result = format_text(&uri->target, "%s%.*s%s%.*s", slash, (int)parts->path.length, parts->path.text,
                             parts->has_query ? "?" : "", (int)parts->query.length, parts->query.text);
    if (result == 0)
        result = format_text(&uri->display, "%s://%s:%u%s%s", scheme, host, uri->port, slash, shown_path);
    if (result == 0)
        result = format_text(&uri->identity, "%s://%s%s%.*s%s", scheme, host, parts->has_port ? ":" : "", (int)parts->port.length,
                             parts->port.text, shown_path);
    free(shown_path);
    return result;
}

int ws_uri_parse(struct ws_uri *uri, const char *text, const char **error)
{
    struct parts parts = {0};
    int result;

    *uri = (struct ws_uri){0};
    *error = split_uri(uri, &parts, text);
    if (!*error)
        *error = take_host(uri, &parts);
    if (!*error)
        *error = take_port(uri, &parts);
    if (*error)
        return -EINVAL;
    result = take_authorization(uri, &parts, error);
    if (result == 0)
        result = format_texts(uri, &parts);
    if (result != 0)
        ws_uri_dispose(uri);
    return result;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void ws_uri_dispose(struct ws_uri *uri)
{
    free_secret(uri->target);
    free_secret(uri->authorization);
    free(uri->display);
    free(uri->identity);
    *uri = (struct ws_uri){0};
}
