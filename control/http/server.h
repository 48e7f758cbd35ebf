/*
 * The HTTP server for operators: /health says OK, every other path is answered by what is mounted there. GET and HEAD only. One thread of
 * its own (libmicrohttpd's).
 */
#ifndef CONTROL_HTTP_SERVER_H
#define CONTROL_HTTP_SERVER_H

#include "flashrelay/address.h"

#include <stdio.h>

/* Most connections at once; others wait to be accepted. */
#define HTTP_SERVER_MAX_CONNECTIONS 32

struct http_mount {
    const char *prefix; /* the path that is answered, with all below it; "/": every path. The longest that matches is used */
    const char *content_type;
    void (*write)(FILE *out, const void *context); /* writes the answer's body; on the server's thread */
    const void *context;
};

struct http_server;

/* Listens and serves; `mounts` and what they point to outlive the server. 0 or a negative errno (-EADDRINUSE, -EACCES ...). */
int http_server_start(struct http_server **server, const struct address *address, const struct http_mount *mounts,
                      unsigned count);
void http_server_stop(struct http_server *server);

/* The port listened on (for port 0). */
uint16_t http_server_port(const struct http_server *server);

#endif
