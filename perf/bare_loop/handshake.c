/* Connecting, listening and the two WebSocket handshakes; none of it is measured. */
#include "bare_loop/bare_loop.h"

#include "flashrelay/random.h"
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
static void read_answer(int fd, const struct ws_uri *uri, const uint8_t key[16])
{
    char answer[HTTP_MAX_REQUEST_BYTES];
    struct ws_upgrade_answer parsed;
    size_t length = 0, consumed;
    enum http_parse_result result;

    do {
        if (length == sizeof answer || read(fd, answer + length, 1) != 1)
            errx(1, "%s ended before it had answered the upgrade", uri->display);
        length++;
        result = ws_upgrade_answer_parse(&parsed, answer, length, key, &consumed);
    } while (result == HTTP_PARSE_INCOMPLETE);
    if (result != HTTP_PARSE_DONE || parsed.error[0] != '\0')
        errx(1, "%s did not upgrade: %s", uri->display, result == HTTP_PARSE_DONE ? parsed.error : "malformed answer");
}

int bare_connect_upstream(const struct ws_uri *uri)
{
    char request[HTTP_MAX_REQUEST_BYTES];
    struct random random;
    uint8_t key[16];
    int fd = connect_any(uri);

    random_seed(&random, random_system_seed());
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)random_next(&random);
    long length = ws_write_upgrade_request(request, sizeof request, uri, key);
    if (length < 0 || write(fd, request, (size_t)length) != length)
        errx(1, "cannot send the upgrade request to %s", uri->display);
    read_answer(fd, uri, key);
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
