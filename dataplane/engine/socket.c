#include "engine/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_option(int descriptor, int level, int option, int value)
{
    return setsockopt(descriptor, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* Accepted sockets inherit TCP_NODELAY and TCP_NOTSENT_LOWAT from the listener. */
static int set_listener_options(int descriptor, const struct engine_listen_options *options)
{
    int error = set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);

    if (error == 0)
        error = set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    if (error == 0)
        error = set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (error == 0 && options->notsent_lowat_bytes > 0)
        error = set_option(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)options->notsent_lowat_bytes);
    return error;
}

static int bind_and_listen(int descriptor, const struct address *address, int backlog, uint16_t *port)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(address, &sockaddr);
    struct address bound;
    int error;

    if (bind(descriptor, (struct sockaddr *)&sockaddr, length) != 0 || listen(descriptor, backlog) != 0)
        return -errno;
    length = sizeof sockaddr;
    if (getsockname(descriptor, (struct sockaddr *)&sockaddr, &length) != 0)
        return -errno;
    error = address_from_sockaddr(&bound, (struct sockaddr *)&sockaddr);
    *port = bound.port;
    return error;
}

int socket_listen(const struct address *address, const struct engine_listen_options *options, uint16_t *port)
{
    int family = ip_address_is_v4(&address->ip) ? AF_INET : AF_INET6;
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (descriptor < 0)
        return -errno;
    error = set_listener_options(descriptor, options);
    if (error == 0)
        error = bind_and_listen(descriptor, address, options->backlog, port);
    if (error != 0) {
        close(descriptor);
        return error;
    }
    return descriptor;
}

int socket_check_address_is_free(void *shared, const struct address *address)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(address, &sockaddr);
    int descriptor = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error;

    (void)shared;
    if (descriptor < 0)
        return -errno;
    /* With SO_REUSEADDR, bind ignores connections in TIME_WAIT, but fails where a listener has the address, even one with SO_REUSEPORT. */
    error = set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (error == 0 && bind(descriptor, (struct sockaddr *)&sockaddr, length) != 0)
        error = -errno;
    close(descriptor);
    return error;
}

int socket_connect(const struct address *remote)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(remote, &sockaddr);
    int descriptor = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (descriptor < 0)
        return -errno;
    error = set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (error == 0 && connect(descriptor, (struct sockaddr *)&sockaddr, length) != 0 && errno != EINPROGRESS)
        error = -errno;
    if (error != 0) {
        close(descriptor);
        return error;
    }
    return descriptor;
}

int socket_connect_end(int descriptor)
{
    int error;
    socklen_t length = sizeof error;

    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        return -errno;
    if (error != 0)
        return -error;
    return fcntl(descriptor, F_SETFL, 0) == 0 ? 0 : -errno;
}

void socket_reset(int descriptor)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    if (connect(descriptor, &nobody, sizeof nobody) != 0)
        shutdown(descriptor, SHUT_RDWR);
}

bool socket_is_out_of_files(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool socket_is_of_one_connection(int error)
{
    return error == ECONNABORTED || error == EPROTO || error == EPERM || error == EINTR || error == ENETDOWN ||
           error == EHOSTUNREACH || error == ENETUNREACH;
}
