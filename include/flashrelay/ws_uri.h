/* The URIs of WebSocket servers, sans-I/O. Any thread may call these functions. */
#ifndef FLASHRELAY_WS_URI_H
#define FLASHRELAY_WS_URI_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A ws:// or wss:// URI, split into parts that the struct owns (RFC 6455, 3; RFC 3986). Secrets are the user information, the query and the
 * key in a path like /ws/{api_key}: no error text contains them; `display` and `identity` omit the first two and show the key as "***".
 */
struct ws_uri {
    bool tls;
    char host[256];      /* name, or address without brackets */
    uint16_t port;       /* default 80 or 443 */
    char *target;        /* path and query, at least "/"; owned */
    char *authorization; /* "Basic ..." from the user information, or NULL; owned; never logged */
    char *display;       /* scheme, host, port and path, for logs; no secrets; owned */
    char *identity;      /* the URI as given, without secrets, for metrics; owned */
};

/* Parses `text`; the caller frees the parts with ws_uri_dispose. 0, -EINVAL with a static explanation in *error, or -ENOMEM. */
int ws_uri_parse(struct ws_uri *uri, const char *text, const char **error);

/* Frees the parts, after overwriting those with secrets; the struct is zeroed again. */
void ws_uri_dispose(struct ws_uri *uri);

#endif
