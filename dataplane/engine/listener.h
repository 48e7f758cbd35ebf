/*
 * Accepting, as the engines on kernel sockets share it: accept4 in a loop of bounded length, so that a pause and the limit of connections
 * hold exactly. The engine says when somebody may be queued, has room for a connection, and takes what is accepted.
 */
#ifndef DATAPLANE_ENGINE_LISTENER_H
#define DATAPLANE_ENGINE_LISTENER_H

#include "flashrelay/engine.h"

struct listener {
    struct engine *engine;
    bool (*has_room)(const struct engine *engine);
    /* Makes a connection of an accepted socket, which is its from now on, and tells the handler. */
    void (*accepted)(struct engine *engine, int descriptor, const struct address *peer);
    int descriptor;       /* -1: none */
    bool ready;           /* somebody may be queued: set by the engine */
    bool paused;          /* engine_accept_pause */
    bool stopping;        /* engine_listen_stop */
    bool out_of_files;    /* and said so; over once the queue is empty again */
    uint64_t retry_at_ns; /* when to try again to accept; past, if nothing is in the way */
};

/* Prepares a listener that does not listen yet. */
void listener_init(struct listener *listener, struct engine *engine, bool (*has_room)(const struct engine *engine),
                   void (*accepted)(struct engine *engine, int descriptor, const struct address *peer));

/* As engine_listen says; the socket is `listener->descriptor`, in blocking mode but for accepting. */
int listener_open(struct listener *listener, const struct address *address, const struct engine_listen_options *options);
void listener_close(struct listener *listener);

void listener_pause(struct listener *listener, bool paused);

/*
 * Accepts what is due. True if a handler was called, or if there is more to do at once; the turn then does not sleep. Lowers
 * *deadline_ns to when it wants to be called again.
 */
bool listener_turn(struct listener *listener, uint64_t now_ns, uint64_t *deadline_ns);

/* True if it would accept who comes next, and has to be told of it. */
bool listener_is_waiting(const struct listener *listener, uint64_t now_ns);

/* A descriptor was closed: who ran out of them may try again. */
static inline void listener_retry(struct listener *listener)
{
    listener->retry_at_ns = 0;
}

#endif
