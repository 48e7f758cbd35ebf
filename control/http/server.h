/* The metrics port: /health says OK, every other path serves the metrics. One thread of its own (libmicrohttpd's). */
#ifndef CONTROL_HTTP_SERVER_H
#define CONTROL_HTTP_SERVER_H

#include "flashrelay/address.h"
#include "metrics/metrics.h"

struct metrics_server;

/* Listens and serves. `sources` outlives the server. 0 or a negative errno (-EADDRINUSE, -EACCES ...). */
int metrics_server_start(struct metrics_server **server, const struct address *address, const struct metrics_sources *sources);
void metrics_server_stop(struct metrics_server *server);

/* The port listened on (for port 0). */
uint16_t metrics_server_port(const struct metrics_server *server);

#endif
