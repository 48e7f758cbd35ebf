#include "shard/routes.h"

#include <errno.h>
#include <string.h>

static bool text_equals(struct http_text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.text, other, text.length) == 0;
}

/* True if the text begins with `prefix`, which is then cut off. */
static bool cut_prefix(struct http_text *text, const char *prefix)
{
    size_t length = strlen(prefix);

    if (text->length < length || memcmp(text->text, prefix, length) != 0)
        return false;
    text->text += length;
    text->length -= length;
    return true;
}

/* Returns the route of `rest`, which follows "/ws/": one segment is a key; two are a key and "filter". */
static struct route find_key_route(struct http_text rest)
{
    const char *slash = memchr(rest.text, '/', rest.length);
    struct http_text key = {rest.text, slash ? (size_t)(slash - rest.text) : rest.length};
    struct http_text tail = {rest.text + key.length, rest.length - key.length};

    if (key.length == 0)
        return (struct route){.kind = ROUTE_UNKNOWN};
    if (!slash)
        return (struct route){.kind = ROUTE_KEY, .key = key};
    return (struct route){.kind = text_equals(tail, "/filter") ? ROUTE_FILTER : ROUTE_UNKNOWN};
}

struct route route_find(struct http_text path, const struct access_table *table)
{
    bool has_keys = table && access_table_count(table) > 0;

    if (text_equals(path, "/healthz"))
        return (struct route){.kind = ROUTE_HEALTH};
    if (text_equals(path, "/ws"))
        return (struct route){.kind = !has_keys || access_table_has_public_access(table) ? ROUTE_SUBSCRIBE : ROUTE_UNKNOWN};
    if (has_keys && cut_prefix(&path, "/ws/"))
        return find_key_route(path);
    return (struct route){.kind = ROUTE_UNKNOWN};
}

int route_find_app(const struct access_table *table, struct http_text key)
{
    char decoded[HTTP_MAX_REQUEST_BYTES];
    size_t longest = access_table_longest_key_bytes(table);
    long length = http_percent_decode(key, decoded, longest < sizeof decoded ? longest : sizeof decoded);

    return length < 0 ? -ENOENT : access_table_find(table, decoded, (size_t)length);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The last comma-separated item, without white space around it. */
static struct http_text last_item(struct http_text list)
{
    const char *comma = memrchr(list.text, ',', list.length);
    const char *begin = comma ? comma + 1 : list.text;
    const char *end = list.text + list.length;

    while (begin < end && is_blank(*begin))
        begin++;
    while (end > begin && is_blank(end[-1]))
        end--;
    return (struct http_text){begin, (size_t)(end - begin)};
}

bool route_client_address(const struct http_request *request, const char *name, struct ip_address *ip)
{
    const struct http_header *header = http_find_header(request->headers, request->header_count, name);
    struct ip_address parsed;
    struct http_text item;

    if (!header)
        return false;
    item = last_item(header->value);
    if (ip_address_parse(&parsed, item.text, item.length) != 0)
        return false;
    *ip = parsed;
    return true;
}
