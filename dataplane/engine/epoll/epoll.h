/*
 * The epoll engine's own structures, and what its files call of each other. All of it runs on the engine's thread, but epoll_wake.
 * (epoll_create1, epoll_ctl, epoll_wait and epoll_pwait2 are the system's.)
 *
 * A descriptor is registered once, edge-triggered for both directions, and never changed: the kernel tells of room only after it refused
 * bytes, so a connection that is not blocked costs no event, and one that is costs no system call besides its sends. The engine
 * remembers what was told and not worked off.
 */
#ifndef DATAPLANE_ENGINE_EPOLL_EPOLL_H
#define DATAPLANE_ENGINE_EPOLL_EPOLL_H

#include "base/slab.h"
#include "engine/listener.h"
#include "engine/queue.h"
#include "flashrelay/engine.h"

#include <sys/epoll.h>

/* Events of one turn; as many sends as the relay's turns have. */
#define EPOLL_EVENTS 256

struct epoll_connection {
    struct connection base;
    struct queue_node queued, reading, todo;
    int descriptor;
    int error; /* why connecting failed at once */
    bool in_todo : 1;
    bool connecting : 1;
    bool readable : 1;       /* there may be something to read */
    bool hung_up : 1;        /* the peer's FIN, or an error, is behind what there is to read */
    bool will_read : 1;      /* in the queue of those that read */
    bool receive_paused : 1; /* `received` consumed less than it was offered */
    bool resume_wanted : 1;
    bool finish_delivered : 1; /* the peer's FIN is here, and `received` knows */
    bool write_finished : 1;   /* our FIN is on its way */
    bool reported : 1;         /* `closed`, `detached`, or a failed `connected`, was called */
};

/* 10,000 subscribers: keep it small. */
_Static_assert(sizeof(struct epoll_connection) <= 144, "a connection has outgrown its 144 bytes");

struct epoll_engine {
    struct engine base;
    int descriptor; /* of the epoll set */
    int wake_event; /* eventfd: each write is an edge, so nobody reads it */
    bool has_nanoseconds;
    struct slab slots; /* of struct epoll_connection */
    struct queue send_queue;
    struct queue read_queue;
    struct queue todo; /* dead, failed to connect, resumed, detached or finished */
    struct listener listener;
    uint8_t *buffer;  /* received into; lent to the handler */
    uint64_t now_ns;  /* read after each wait, and after each send */
    uint64_t told_ns; /* the last look at I/O of which everything has been told */
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

/* Makes an engine; `has_nanoseconds`: whether epoll_pwait2 works here. 0 or a negative errno. */
int epoll_engine_create(struct engine **out, const struct engine_options *options, bool has_nanoseconds);

/* --- slots.c --- */

bool epoll_slot_is_free(const struct epoll_engine *engine);

/* A zeroed connection without descriptor, or NULL if all are taken. */
struct epoll_connection *epoll_slot_take(struct epoll_engine *engine);

/* Gives the slot back if the connection's end is reported and no queue has it. */
void epoll_slot_release(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- listen.c --- */

void epoll_listener_init(struct epoll_engine *engine);
int epoll_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options);
void epoll_accept_pause(struct engine *base, bool paused);
void epoll_listen_stop(struct engine *base);

/* --- connect.c --- */

struct connection *epoll_connect(struct engine *base, const struct address *remote, void *owner);

/* Ends the state of connecting, if it is over, and tells. */
void epoll_connect_proceed(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- receive.c --- */

/* There may be something to read. */
void epoll_receive_ready(struct epoll_engine *engine, struct epoll_connection *connection);

/* Reads for those for whom there may be something, each its share of a turn at most. True if nothing is left to read. */
bool epoll_receive(struct epoll_engine *engine);
void epoll_receive_resume(struct engine *base, struct connection *connection);

/* Offers what was kept, then reads again. */
void epoll_receive_offer_kept(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- send.c --- */

void epoll_serve(struct engine *base, struct connection *connection);

/* Sends for those who were handed over, at most sends_per_turn. How many were served. */
unsigned epoll_send(struct epoll_engine *engine);

/* A blocked connection may go on. */
void epoll_writable(struct epoll_engine *engine, struct epoll_connection *connection);

/* --- close.c --- */

void epoll_finish(struct engine *base, struct connection *connection);
void epoll_abort(struct engine *base, struct connection *connection);

/* Goes on with the orderly end: our FIN once everything is taken, closed once the peer's is here too. */
void epoll_finish_proceed(struct epoll_engine *engine, struct epoll_connection *connection);

/* Closes the descriptor and lets go of what was received. */
void epoll_close(struct epoll_engine *engine, struct epoll_connection *connection);

/* Ends the connection and reports it. */
void epoll_end(struct epoll_engine *engine, struct epoll_connection *connection, int error);

/* The connection failed: resets it and reports its end. */
void epoll_fail(struct epoll_engine *engine, struct epoll_connection *connection, int error);

/* --- move.c --- */

void epoll_detach(struct engine *base, struct connection *connection);

/* Hands a connection that is to be detached over, once it is in no queue and not connecting any more. */
void epoll_detach_proceed(struct epoll_engine *engine, struct epoll_connection *connection);
int epoll_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out);

/* --- turn.c --- */

/* Adds a descriptor to the set, for these events. 0, or -ENOMEM or -ENOSPC (fs.epoll.max_user_watches). */
int epoll_watch(struct epoll_engine *engine, int descriptor, uint32_t events, void *what);
int epoll_watch_connection(struct epoll_engine *engine, int descriptor, struct epoll_connection *connection);
void epoll_unwatch(struct epoll_engine *engine, int descriptor);

/* Notes that the next turn has something to do for the connection. */
void epoll_todo(struct epoll_engine *engine, struct epoll_connection *connection);
uint64_t epoll_turn(struct engine *base, uint64_t deadline_ns);

/* --- wake.c --- */

void epoll_wake(struct waker *waker, struct waker *from);

#endif
