#include "common/connect.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to_address(const struct addrinfo *address)
{
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (descriptor < 0)
        return -errno;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        int error = -errno;

        close(descriptor);
        return error;
    }
    return descriptor;
}

int connect_to_host(const struct ws_uri *uri, char *error, size_t capacity)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int descriptor = -EHOSTUNREACH;
    char port[8];

    snprintf(port, sizeof port, "%u", uri->port);
    int result = getaddrinfo(uri->host, port, &hints, &found);
    if (result != 0) {
        snprintf(error, capacity, "cannot find %s: %s", uri->host, gai_strerror(result));
        return descriptor;
    }
    for (const struct addrinfo *address = found; address && descriptor < 0; address = address->ai_next)
        descriptor = connect_to_address(address);
    freeaddrinfo(found);
    if (descriptor < 0)
        snprintf(error, capacity, "cannot connect to %s port %u: %s", uri->host, uri->port, strerror(-descriptor));
    return descriptor;
}
