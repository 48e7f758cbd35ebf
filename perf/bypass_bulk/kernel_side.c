/* Sender and receiver on the kernel's sockets. */
#include "bypass_bulk/stream.h"

#include "flashrelay/address.h"
#include "flashrelay/clock.h"

#include <err.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)256 << 10)

static int open_listener(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    static const char congestion[] = "cubic";
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (listener < 0 || setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof congestion - 1) != 0)
        err(1, "%s", congestion);
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0)
        err(1, "port %s", port);
    return listener;
}

int stream_serve_kernel(const char *port)
{
    static uint8_t bytes[BUFFER_BYTES];
    int listener = open_listener(port);

    for (;;) {
        int peer = accept(listener, NULL, NULL);

        if (peer < 0)
            err(1, "accept");
        while (send(peer, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
            ;
        close(peer);
    }
}

static int open_connection(const char *text)
{
    struct sockaddr_storage at;
    struct address address;
    int connection;

    if (address_parse(&address, text) != 0)
        errx(2, "%s: expected ADDRESS:PORT", text);
    socklen_t length = address_to_sockaddr(&address, &at);
    connection = socket(at.ss_family, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&at, length) != 0)
        err(1, "%s", text);
    return connection;
}

int stream_receive(const char *address, const char *seconds)
{
    static uint8_t bytes[BUFFER_BYTES];
    int connection = open_connection(address);
    uint64_t length_ns = (uint64_t)atoi(seconds) * NS_PER_S, begin_ns = clock_monotonic_ns();
    uint64_t from_ns = begin_ns + length_ns / 5, counted = 0, now_ns = begin_ns;

    while (now_ns < begin_ns + length_ns) {
        ssize_t received = recv(connection, bytes, sizeof bytes, 0);

        if (received <= 0)
            errx(1, "the stream has ended");
        now_ns = clock_monotonic_ns();
        if (now_ns >= from_ns)
            counted += (uint64_t)received;
    }
    printf("%.0f\n", (double)counted * 8 * NS_PER_S / (double)(now_ns - from_ns));
    close(connection);
    return 0;
}
