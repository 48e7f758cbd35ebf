/* The forward mode: two sockets and a loop, with which a relay's latency is compared. */
#include "bare_loop/bare_loop.h"

#include "flashrelay/http.h"

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define FORWARD_BUFFER_BYTES (1u << 20)

static int accept_subscriber(int listener)
{
    char request[HTTP_MAX_REQUEST_BYTES], answer[256];
    size_t length = 0;
    long answer_length = 0;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    while (fd >= 0 && answer_length == 0) {
        ssize_t n = read(fd, request + length, sizeof request - length);
        if (n <= 0)
            errx(1, "the subscriber left before it had asked for an upgrade");
        length += (size_t)n;
        answer_length = bare_answer_request(request, length, answer, sizeof answer);
    }
    if (fd < 0 || answer_length < 0 || write(fd, answer, (size_t)answer_length) != answer_length)
        errx(1, "the subscriber did not ask for an upgrade");
    return fd;
}

/* Sends all bytes. False if the subscriber is gone. */
static bool send_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

int bare_forward(const struct bare_options *options, int upstream, int listener)
{
    static uint8_t buffer[FORWARD_BUFFER_BYTES];
    int subscriber = accept_subscriber(listener);

    for (;;) {
        ssize_t n = recv(upstream, buffer, sizeof buffer, options->busy_poll ? MSG_DONTWAIT : 0);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0 || !send_all(subscriber, buffer, (size_t)n))
            return n < 0;
    }
}
