/*
 * The boundary between policy and I/O. An engine moves bytes for one thread; what to send to whom is decided above it.
 * Engines: io_uring (engine_uring.h), the simulator (engine_sim.h); DPDK fits behind the same table.
 *
 * An engine and its connections belong to one thread; only its waker may be used by others. All I/O of the thread happens in
 * engine_turn, which calls the handler below; every other call only notes what is to be done. Handlers may call any engine_* function
 * but engine_turn and engine_destroy.
 */
#ifndef FLASHRELAY_ENGINE_H
#define FLASHRELAY_ENGINE_H

#include "flashrelay/address.h"
#include "flashrelay/channel.h"
#include "flashrelay/counter.h"
#include "flashrelay/holds.h"
#include "flashrelay/waker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_EXTENTS 4
/* A run of control bytes (handshake answer, pongs, close) takes at most this; engine_append_bytes takes any length. */
#define CONTROL_RUN_BYTES 256

/* A part of a connection's outgoing stream: the frames [from, to) of a channel, or `length` control bytes where channel is NULL. */
struct extent {
    struct channel *channel;
    union {
        struct {
            uint64_t from, to;
        };
        struct {
            uint8_t *bytes;
            uint32_t length, capacity;
        };
    };
};

/* The part of a connection that every engine has; engines embed it first in their own. Read-only above the engine, but for `owner`. */
struct connection {
    void *owner;                               /* who it belongs to above: subscriber, upstream ... */
    struct extent extents[CONNECTION_EXTENTS]; /* in order; extents[0] may have begun */
    uint64_t held_sequence;                    /* lowest frame the engine may still touch for it, HOLDS_NONE if none */
    uint64_t pinned_sequence;                  /* lowest frame taken and still touched (zero-copy), HOLDS_NONE if none */
    uint32_t taken_bytes;                      /* of the first frame, or control run, of extents[0] */
    uint32_t offered_bytes;                    /* of extents[0], after those taken: on their way, answer outstanding */
    uint8_t extent_count;
    bool blocked;   /* the peer took less than was offered; it waits for room */
    bool queued;    /* handed over, waits to be served */
    bool finishing; /* engine_finish was called */
    bool dead;      /* failed or aborted: `closed` follows */
};

struct engine;

/* What one service of a connection achieved. */
struct engine_progress {
    size_t bytes;     /* taken by the peer's socket just now */
    uint32_t frames;  /* frames completed just now */
    bool began_frame; /* the first byte of a frame is among them */
};

/* What an engine tells the thread's policy. `context` is engine_options.context; `now_ns` is the engine's clock. */
struct engine_handler {
    /* A peer connected to the listener. The connection is open; set its owner. To refuse it call engine_abort. */
    void (*accepted)(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns);
    /* engine_connect ended: error is 0 or a negative errno (then `closed` does not follow and the connection is gone). */
    void (*connected)(void *context, struct connection *connection, int error, uint64_t now_ns);
    /*
     * Bytes arrived; they are lent, and may be changed in place, until the handler returns. Returns how many were consumed: if fewer than
     * `length`, the engine keeps the rest, reads no more and offers it again after engine_receive_resume. length 0: the peer will
     * send no more (it may still receive); the connection stays until it is finished or aborted.
     */
    size_t (*received)(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns);
    /* The peer took bytes, or refused some (connection->blocked). connection->extent_count == 0: nothing is left to send. */
    void (*progressed)(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns);
    /* The connection ended: error 0 after engine_finish went through on both sides or engine_abort, else a negative errno. It is gone
     * (memory included) when the handler returns. Exactly once a connection, never from inside another engine_* call. */
    void (*closed)(void *context, struct connection *connection, int error, uint64_t now_ns);
    /* Another thread woke the engine. May come once for several wake-ups, and without any. */
    void (*woken)(void *context, uint64_t now_ns);
};

enum engine_zerocopy { ENGINE_ZEROCOPY_AUTO, ENGINE_ZEROCOPY_ON, ENGINE_ZEROCOPY_OFF };

struct engine_options {
    const struct engine_handler *handler;
    void *context;
    struct holds *holds;      /* kept up to date with every connection's held_sequence; may be NULL */
    uint32_t max_connections; /* slots; memory is touched only when used */
    uint32_t receive_buffers; /* power of two: buffers lent for receiving, shared by all connections */
    uint32_t receive_buffer_bytes;
    uint32_t sends_per_turn; /* service budget of one turn, e.g. 256 */
    bool busy_poll;          /* engine_turn never sleeps */
    enum engine_zerocopy zerocopy;
};

struct engine_listen_options {
    int backlog;
    uint32_t notsent_lowat_bytes; /* TCP_NOTSENT_LOWAT of accepted connections; 0 = system's */
};

/* Figures of one engine, for metrics. Written by its thread. */
struct engine_counters {
    counter turns, system_calls, accepts, accept_pauses, connects, sends, short_sends, blocked, receives, receive_starved,
        wakeups;
    counter zerocopy_sends, zerocopy_copied; /* sent by reference; of those, copied by the kernel after all */
    counter bytes_sent, bytes_received, open_connections;
};

struct engine_ops {
    void (*destroy)(struct engine *engine);
    uint64_t (*now)(struct engine *engine);
    int (*listen)(struct engine *engine, const struct address *address, const struct engine_listen_options *options);
    void (*accept_pause)(struct engine *engine, bool paused);
    void (*listen_stop)(struct engine *engine);
    struct connection *(*connect)(struct engine *engine, const struct address *remote, void *owner);
    void (*serve)(struct engine *engine, struct connection *connection);
    void (*receive_resume)(struct engine *engine, struct connection *connection);
    void (*finish)(struct engine *engine, struct connection *connection);
    void (*abort)(struct engine *engine, struct connection *connection);
    void (*register_memory)(struct engine *engine, const uint8_t *base, size_t length);
    void (*turn)(struct engine *engine, uint64_t deadline_ns);
};

/* Blocks for control runs that nobody uses now, kept for the next ones. */
struct control_blocks {
    void *first;
    uint32_t count;
};

/* The part that every engine has; engines embed it first in their own. */
struct engine {
    const struct engine_ops *ops;
    struct engine_options options;
    struct engine_counters counters;
    struct control_blocks control_blocks;
    uint16_t listen_port; /* 0 without listener */
    struct waker waker;   /* ends the sleep of engine_turn */
};

/* --- life --- */

/* Aborts what is open without telling the handler and frees everything. */
void engine_destroy(struct engine *engine);

/* The engine's clock in ns: monotonic time, or the simulator's. */
uint64_t engine_now(struct engine *engine);

/*
 * Does all I/O that is due: serves connections handed over (at most sends_per_turn), accepts, receives, calls handlers; if there was
 * nothing to do it sleeps until something happens or until `deadline_ns` (0: don't sleep; CLOCK_NEVER: no deadline).
 */
void engine_turn(struct engine *engine, uint64_t deadline_ns);

/* Announces that the next turn may sleep. After it, look once more for work that other threads publish, and pass deadline 0 if there is. */
void engine_prepare_sleep(struct engine *engine);

/* What ends the engine's sleep: for other threads, by waker_wake. Lives as long as the engine. */
struct waker *engine_waker(struct engine *engine);

/* Tells the engine of memory that frames are sent from (a channel's arena), so that it can register it. Before the first turn. */
void engine_register_memory(struct engine *engine, const uint8_t *base, size_t length);

/* --- listening and connecting --- */

/* Listens with SO_REUSEPORT. 0 or a negative errno (-EADDRINUSE, -EACCES ...). One listener an engine. */
int engine_listen(struct engine *engine, const struct address *address, const struct engine_listen_options *options);

/* The port listened on (for port 0), host byte order; 0 without listener. */
uint16_t engine_listen_port(const struct engine *engine);

/* Stops or resumes accepting; what arrives meanwhile waits in the backlog. */
void engine_accept_pause(struct engine *engine, bool paused);

/* Accepts what is queued, whatever the pause says, and closes the listener in the next turn. */
void engine_listen_stop(struct engine *engine);

/* Starts connecting; `connected` tells how it ended. NULL if all slots are taken. The caller bounds the time with engine_abort. */
struct connection *engine_connect(struct engine *engine, const struct address *remote, void *owner);

/* --- sending (on a connection that is dead, these do nothing and say 0) --- */

/*
 * Appends the frames [from, to) of `channel` to what the connection is to send; joins the last extent where it ends at `from`.
 * 0, or -ENOBUFS if all extents are in use. Takes effect with engine_serve.
 */
int engine_append_frames(struct engine *engine, struct connection *connection, struct channel *channel, uint64_t from,
                         uint64_t to);

/* Appends a copy of `length` bytes; joins the last control run where it has room. 0, -ENOBUFS or -ENOMEM. Takes effect with engine_serve. */
int engine_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length);

/*
 * Drops everything that has not begun: whole extents, and of a begun one the frames after those in flight.
 * `*resume_from`, if not NULL, becomes the first frame dropped, or HOLDS_NONE if no frame was dropped.
 */
void engine_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from);

/* Hands the connection over for service, behind those handed over before. Idempotent. A blocked one waits for its socket by itself. */
void engine_serve(struct engine *engine, struct connection *connection);

/* --- receiving and ending --- */

/* Reads again after `received` consumed less than it was offered. */
void engine_receive_resume(struct engine *engine, struct connection *connection);

/*
 * No more will be appended: sends the rest, then FIN; what arrives is still offered to `received` until the peer's FIN, then `closed`.
 * The caller bounds the time with engine_abort.
 */
void engine_finish(struct engine *engine, struct connection *connection);

/* Resets the connection now, letting go of every frame; `closed` follows in the next turn. Idempotent. */
void engine_abort(struct engine *engine, struct connection *connection);

#endif
