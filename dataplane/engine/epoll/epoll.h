/*
 * The epoll engine's own structures, and the functions that its files call of each other. All functions but epoll_wake run on the engine's
 * thread. (epoll_create1, epoll_ctl, epoll_wait and epoll_pwait2 are the system's.)
 *
 * A descriptor is registered once, edge-triggered for both directions, and the registration is never changed: the kernel reports room only
 * after it refused bytes, so a connection that is not blocked causes no such event, and a blocked connection needs no system call besides
 * its sends. The engine remembers in the connection which events were reported and are not worked off.
 */
#ifndef DATAPLANE_ENGINE_EPOLL_EPOLL_H
#define DATAPLANE_ENGINE_EPOLL_EPOLL_H

#include "base/slab.h"
#include "engine/listener.h"
#include "engine/queue.h"
#include "flashrelay/engine.h"

#include <sys/epoll.h>

/* Most events taken per turn: as many as the relay sends per turn. */
#define EPOLL_EVENTS 256

struct epoll_connection {
    struct connection base;
    struct queue_node queued, reading, todo;
    int descriptor;
    int error; /* why connecting failed at once */
    bool in_todo : 1;
    bool connecting : 1;
    bool readable : 1;       /* there may be something to read */
    bool hung_up : 1;        /* the peer's FIN, or an error, follows the bytes that can be read */
    bool read_queued : 1;    /* in the read_queue */
    bool receive_paused : 1; /* `received` consumed less than it was offered */
    bool resume_wanted : 1;
    bool finish_delivered : 1; /* the peer's FIN was reported to `received` */
    bool write_finished : 1;   /* our FIN is on its way */
    bool reported : 1;         /* `closed`, `detached`, or a failed `connected`, was called */
};

/* There may be 10,000 of them: keep them small. */
_Static_assert(sizeof(struct epoll_connection) <= 144, "a connection has outgrown its 144 bytes");

struct epoll_engine {
    struct engine base;
    int descriptor; /* of the epoll set */
    int wake_event; /* eventfd: each write is an edge, so it is never read */
    bool has_epoll_pwait2;
    struct slab slots; /* of struct epoll_connection */
    struct queue send_queue;
    struct queue read_queue;
    struct queue todo; /* connections that are dead, failed to connect, or are resumed, detached or finished */
    struct listener listener;
    uint8_t *buffer;            /* for received bytes, which are lent to the handler */
    uint64_t now_ns;            /* read after each wait, and after each send */
    uint64_t reported_until_ns; /* all I/O that had happened by then has been reported to the handler */
    struct epoll_event events[EPOLL_EVENTS];
};

static inline struct epoll_engine *epoll_of(struct engine *engine)
{
    return (struct epoll_engine *)(void *)engine;
}

static inline struct epoll_connection *epoll_connection_of(struct connection *connection)
{
    return (struct epoll_connection *)(void *)connection;
}

static inline const struct engine_handler *epoll_handler(const struct epoll_engine *engine)
{
    return engine->base.options.handler;
}

static inline void epoll_count_system_call(struct epoll_engine *engine)
{
    counter_add(&engine->base.counters.system_calls, 1);
}

/* --- epoll.c --- */

extern const struct engine_ops epoll_ops;

/* Makes an engine; `has_epoll_pwait2`: whether epoll_pwait2 works here. 0 or a negative errno. */
int epoll_engine_create(struct engine **out, const struct engine_options *options, bool has_epoll_pwait2);

/* --- slots.c --- */

bool epoll_slot_is_free(const struct epoll_engine *engine);

/* Takes a slot: a zeroed connection without descriptor, or NULL if no slot is free. */
struct epoll_connection *epoll_slot_take(struct epoll_engine *engine);

/* Gives the slot back if the connection's end is reported and the connection is in no queue. */
void epoll_slot_release(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- listen.c --- */

void epoll_listener_init(struct epoll_engine *engine);
int epoll_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options);
void epoll_accept_pause(struct engine *base, bool paused);
void epoll_listen_stop(struct engine *base);

/* --- connect.c --- */

struct connection *epoll_connect(struct engine *base, const struct address *remote, void *owner);

/* Connecting has ended: takes the outcome from the socket and calls `connected`. */
void epoll_connect_proceed(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- receive.c --- */

/* Notes that there may be bytes to read, and queues the connection for reading. */
void epoll_receive_ready(struct epoll_engine *engine, struct epoll_connection *connection);

/* Reads from the queued connections, from each at most its share of a turn. True if the queue is empty afterwards. */
bool epoll_receive(struct epoll_engine *engine);
void epoll_receive_resume(struct engine *base, struct connection *connection);

/* Offers the kept bytes to the handler again; once all are consumed, resumes reading. */
void epoll_receive_offer_kept(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- send.c --- */

void epoll_serve(struct engine *base, struct connection *connection);

/* Sends for the connections that were handed over, at most sends_per_turn of them. Returns how many were served. */
unsigned epoll_send(struct epoll_engine *engine);

/* The socket has room: a connection that was blocked is queued for service. */
void epoll_writable(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- close.c --- */

void epoll_finish(struct engine *base, struct connection *connection);
void epoll_abort(struct engine *base, struct connection *connection);

/* Proceeds with engine_finish: sends our FIN once everything is taken, ends the connection once the peer's FIN is reported too. */
void epoll_finish_proceed(struct epoll_engine *engine, struct epoll_connection *connection);

/* Closes the descriptor and drops the received bytes that were not consumed. */
void epoll_close(struct epoll_engine *engine, struct epoll_connection *connection);

/* Closes the connection and calls `closed` with `error`. */
void epoll_end(struct epoll_engine *engine, struct epoll_connection *connection, int error);

/* The connection failed: resets it and reports its end. */
void epoll_fail(struct epoll_engine *engine, struct epoll_connection *connection, int error);

/* --- move.c --- */

void epoll_detach(struct engine *base, struct connection *connection);

/* Hands over a connection that is being detached, once it is neither queued for service nor connecting. */
void epoll_detach_proceed(struct epoll_engine *engine, struct epoll_connection *connection);
int epoll_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out);

/* --- turn.c --- */

/* Adds a descriptor to the epoll set, edge-triggered; `what` identifies its events. 0, or -ENOMEM or -ENOSPC (fs.epoll.max_user_watches). */
int epoll_watch(struct epoll_engine *engine, int descriptor, uint32_t events, void *what);
int epoll_watch_connection(struct epoll_engine *engine, int descriptor, struct epoll_connection *connection);
void epoll_unwatch(struct epoll_engine *engine, int descriptor);

/* Notes that the next turn has something to do for the connection. */
void epoll_todo(struct epoll_engine *engine, struct epoll_connection *connection);
uint64_t epoll_turn(struct engine *base, uint64_t deadline_ns);

/* --- wake.c --- */

void epoll_wake(struct waker *waker, struct waker *from);

#endif
