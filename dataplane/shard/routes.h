/* What a request on the subscribers' port asks for, and on whose behalf. No system call, no clock, no allocation. */
#ifndef DATAPLANE_SHARD_ROUTES_H
#define DATAPLANE_SHARD_ROUTES_H

#include "flashrelay/access.h"
#include "flashrelay/address.h"
#include "flashrelay/http.h"

enum route_kind {
    ROUTE_UNKNOWN,   /* 404 */
    ROUTE_HEALTH,    /* /healthz */
    ROUTE_SUBSCRIBE, /* /ws, open to everybody */
    ROUTE_KEY,       /* /ws/{api_key} */
    ROUTE_FILTER,    /* /ws/{api_key}/filter */
};

struct route {
    enum route_kind kind;
    struct http_text key; /* of ROUTE_KEY, percent-encoded as it came */
};

/* The route of a path as it came, without its query; `table` may be NULL: no keys. */
struct route route_find(struct http_text path, const struct access_table *table);

/* The number of the app whose key is `key` once percent-decoded, or -ENOENT. */
int route_find_app(const struct access_table *table, struct http_text key);

/*
 * The client's address as a proxy reports it: the last comma-separated item of the first header `name`, a bare IPv4 or IPv6 address.
 * False, and `*ip` unchanged, if there is no such header or it holds anything else.
 */
bool route_client_address(const struct http_request *request, const char *name, struct ip_address *ip);

#endif
