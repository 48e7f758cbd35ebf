/* The parts of bare_loop, the least that a relay on kernel sockets can do; main.c describes its modes. */
#ifndef PERF_BARE_LOOP_BARE_LOOP_H
#define PERF_BARE_LOOP_BARE_LOOP_H

#include "flashrelay/address.h"
#include "flashrelay/ws_uri.h"

#include <stdbool.h>

/* How a message reaches the subscribers. */
enum bare_mode {
    BARE_URING,   /* one plain IORING_OP_SEND per socket, 256 per io_uring_enter */
    BARE_SEND,    /* one send(2) per socket */
    BARE_FORWARD, /* recv(2) and send(2): copies the bytes of one upstream to one subscriber, unparsed */
};

struct bare_options {
    enum bare_mode mode;
    bool busy_poll;
    struct ws_uri upstream;
    struct address listen;
};

/* Connects and upgrades, blocking. Returns the socket, at the first byte after the answer; ends the program with a message on failure. */
int bare_connect_upstream(const struct ws_uri *uri);

/* Returns a listening socket; accepted sockets inherit TCP_NODELAY. Ends the program with a message on failure. */
int bare_listen(const struct address *address);

/*
 * Writes the 101 answer to the request in `request`. Returns the answer's length, 0 while the request is incomplete, or -EBADMSG.
 */
long bare_answer_request(const char *request, size_t length, char *answer, size_t capacity);

/* The loops of the modes. Each runs until the upstream ends (bare_forward: or the subscriber), and returns the program's exit status. */
int bare_fan_out(const struct bare_options *options, int upstream, int listener);
int bare_forward(const struct bare_options *options, int upstream, int listener);

#endif
