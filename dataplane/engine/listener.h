/*
 * Accepting connections, shared by the engines on kernel sockets: accept4 in a loop of bounded length, so that a pause and the limit of
 * connections hold exactly. The engine says when a connection may be queued and whether it has a free slot, and takes each accepted socket.
 */
#ifndef DATAPLANE_ENGINE_LISTENER_H
#define DATAPLANE_ENGINE_LISTENER_H

#include "flashrelay/engine.h"

struct listener {
    struct engine *engine;
    bool (*has_room)(const struct engine *engine);
    /* Makes a connection of an accepted socket, whose descriptor the engine owns from now on, and calls the handler. */
    void (*accepted)(struct engine *engine, int descriptor, const struct address *peer);
    int descriptor;       /* -1: none */
    bool ready;           /* a connection may be queued: set by the engine */
    bool paused;          /* engine_accept_pause */
    bool stopping;        /* engine_listen_stop */
    bool out_of_files;    /* descriptors or memory ran out, which was logged; false again once the queue is empty */
    uint64_t retry_at_ns; /* no accept before this time; in the past unless descriptors ran out */
};

/* Prepares a listener that does not listen yet. */
void listener_init(struct listener *listener, struct engine *engine, bool (*has_room)(const struct engine *engine),
                   void (*accepted)(struct engine *engine, int descriptor, const struct address *peer));

/* As engine_listen says; -EBUSY if it listens already. The socket is `listener->descriptor`, in non-blocking mode. */
int listener_open(struct listener *listener, const struct address *address, const struct engine_listen_options *options);
void listener_close(struct listener *listener);

void listener_pause(struct listener *listener, bool paused);

/*
 * Accepts queued connections, up to a bound per turn, and closes the listener if it is to stop. True if it did either, or if more can be
 * accepted at once: the engine's turn then does not sleep. Lowers *deadline_ns to the time at which it has to be called again.
 */
bool listener_turn(struct listener *listener, uint64_t now_ns, uint64_t *deadline_ns);

/* True if the listener would accept the next connection and knows of none that is queued: the engine has to watch for it. */
bool listener_is_waiting(const struct listener *listener, uint64_t now_ns);

/* A descriptor was closed: a listener that ran out of descriptors may try again. */
static inline void listener_retry(struct listener *listener)
{
    listener->retry_at_ns = 0;
}

#endif
