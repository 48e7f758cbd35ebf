/* Connecting to the host of a URI, blocking. */
#ifndef TOOLS_COMMON_CONNECT_H
#define TOOLS_COMMON_CONNECT_H

#include "flashrelay/ws_uri.h"

#include <stddef.h>

/* Tries each address of the host. Returns the connected socket, or a negative errno and the failure as text in `error` (`capacity` bytes). */
int connect_to_host(const struct ws_uri *uri, char *error, size_t capacity);

#endif
