/* Connecting, listening and the two WebSocket handshakes; none of it is measured. */
#include "bare_loop/bare_loop.h"

#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"
#include "flashrelay/ws_upgrade.h"

#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int connect_any(const struct ws_uri *uri)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    char port[8];
    int fd = -1;

    snprintf(port, sizeof port, "%u", uri->port);
    int error = getaddrinfo(uri->host, port, &hints, &addresses);
    if (error != 0)
        errx(1, "%s: %s", uri->host, gai_strerror(error));
    for (struct addrinfo *a = addresses; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(addresses);
    if (fd < 0)
        err(1, "cannot connect to %s", uri->display);
    return fd;
}

/* Reads the answer byte by byte, so that nothing after it is taken. */
static void read_answer(int fd, struct ws_client *client)
{
    const char *name = client->options->uri->display;
    struct ws_client_answer answer;

    while (client->state == WS_CLIENT_UPGRADING) {
        uint8_t byte;

        if (read(fd, &byte, 1) != 1)
            errx(1, "%s ended before it had answered the upgrade", name);
        ws_client_read_answer(client, &byte, 1, &answer);
    }
    if (client->state == WS_CLIENT_REFUSED)
        errx(1, "%s did not upgrade: %s", name, answer.error);
}

static uint64_t next_random(void *context)
{
    (void)context;
    return random_system_seed();
}

int bare_connect_upstream(const struct ws_uri *uri)
{
    const struct ws_client_options options = {.uri = uri, .next_random = next_random};
    char request[HTTP_MAX_REQUEST_BYTES];
    uint8_t head[WS_CLIENT_HEAD_BYTES];
    struct ws_client client;
    int fd = connect_any(uri);

    ws_client_start(&client, &options, head);
    long length = ws_client_write_request(&client, request, sizeof request);
    if (length < 0 || write(fd, request, (size_t)length) != length)
        errx(1, "cannot send the upgrade request to %s", uri->display);
    read_answer(fd, &client);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

int bare_listen(const struct address *address)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(address, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        err(1, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&sockaddr, length) != 0 || listen(fd, 4096) != 0)
        err(1, "cannot listen on port %u", address->port);
    return fd;
}

long bare_answer_request(const char *request, size_t length, char *answer, size_t capacity)
{
    struct http_request parsed;
    char accept[WS_ACCEPT_TEXT_BYTES];
    const char *error;
    size_t consumed;
    enum http_parse_result result = http_request_parse(&parsed, request, length, &consumed, &error);

    if (result == HTTP_PARSE_INCOMPLETE)
        return 0;
    if (result != HTTP_PARSE_DONE || ws_upgrade_check(&parsed) != WS_UPGRADE_OK)
        return -EBADMSG;
    ws_accept_key(http_find_header(parsed.headers, parsed.header_count, "Sec-WebSocket-Key")->value, accept);
    return (long)ws_write_upgrade_answer(answer, capacity, accept);
}
