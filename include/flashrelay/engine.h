/*
 * The boundary between policy and I/O. An engine moves bytes for one thread; what to send to whom is decided above it. The kinds of
 * engines are in engine_kind.h; the simulator's is in engine_sim.h.
 *
 * An engine and its connections belong to one thread; only its waker may be used by others. All I/O of the thread happens in
 * engine_turn, which calls the handler below; every other call only notes what is to be done. Handlers may call any engine_* function
 * but engine_turn and engine_destroy.
 *
 * What an engine may touch is held: a frame is *held* for a connection while it is in an extent (offered) or *pinned* (taken by the
 * peer's socket, or sent, and still read: a zero-copy send without notification, bytes that are not acknowledged). An engine may hold
 * frames for itself in the same holds. `closed` is called only when nothing is pinned.
 */
#ifndef FLASHRELAY_ENGINE_H
#define FLASHRELAY_ENGINE_H

#include "flashrelay/address.h"
#include "flashrelay/channel.h"
#include "flashrelay/counter.h"
#include "flashrelay/descriptor_budget.h"
#include "flashrelay/holds.h"
#include "flashrelay/waker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_EXTENTS 4
/* A run of control bytes (handshake answer, pongs, close) takes at most this; engine_append_bytes takes any length. */
#define CONTROL_RUN_BYTES 256
/* Most channels that an engine knows at once. */
#define ENGINE_MAX_CHANNELS UINT16_MAX

enum extent_kind {
    EXTENT_FRAMES,  /* `count` sequence numbers from `from` on, of `channel` */
    EXTENT_CONTROL, /* `count` bytes in a control block of the engine */
    EXTENT_BYTES,   /* `count` bytes, allocated: longer than a control block */
};

/* A part of a connection's outgoing stream. */
struct extent {
    union {
        uint64_t from;
        uint8_t *bytes;
    };
    uint32_t count;
    uint16_t channel; /* the engine's number of it */
    uint16_t kind;    /* enum extent_kind */
};
_Static_assert(sizeof(struct extent) == 16, "four extents and what each send touches are to fit into two cache lines");

/*
 * The part of a connection that every engine has; engines embed it first in their own. Above the engine only `owner`, `blocked`,
 * `queued`, `finishing`, `dead`, and what is held and pinned, are of interest; all but `owner` is read-only there. Its frames are of one
 * channel at a time, and of one selection.
 */
struct connection {
    void *owner;              /* who it belongs to above: subscriber, upstream ... */
    uint64_t held_sequence;   /* lowest frame the engine may still touch for it, HOLDS_NONE if none */
    uint64_t pinned_sequence; /* lowest frame taken and still touched, HOLDS_NONE if none */
    uint32_t taken_bytes;     /* of the first frame, or control run, of extents[0] */
    uint32_t offered_bytes;   /* of extents[0], after those taken: on their way, answer outstanding */
    uint16_t channel;         /* of what is held */
    uint16_t selection;       /* number of the selection of that channel; 0: everything */
    uint8_t extent_count;
    bool blocked : 1;                          /* the peer took less than was offered; it waits for room */
    bool queued : 1;                           /* handed over, waits to be served */
    bool finishing : 1;                        /* engine_finish was called */
    bool dead : 1;                             /* failed or aborted: `closed` follows, once nothing is pinned */
    bool detaching : 1;                        /* engine_detach was called: `detached` follows, or `closed` */
    bool has_unread : 1;                       /* received bytes of it are among engine->unread */
    struct extent extents[CONNECTION_EXTENTS]; /* in order; extents[0] may have begun */
};

struct engine;

/* What became of a connection's stream since the last report. */
struct engine_progress {
    size_t bytes;           /* taken by the peer's socket, or sent for the first time, just now */
    size_t acknowledged;    /* confirmed by the peer; 0 where the kernel does TCP */
    uint32_t frames;        /* completed just now */
    bool began_frame;       /* the first byte of a frame is among `bytes` */
    uint64_t payload_bytes; /* of the frames completed */
};

/* A part of the stream of a connection that moves. */
struct engine_piece {
    uint16_t kind;        /* EXTENT_FRAMES, or EXTENT_BYTES for both kinds of bytes */
    uint16_t channel;     /* of frames: number in the engine that it leaves, or comes to */
    uint32_t length;      /* of bytes */
    uint64_t from, to;    /* of frames: [from, to) */
    const uint8_t *bytes; /* lent */
};

/* A connection on its way to another engine, or process: everything that its peer could notice. */
struct engine_handoff {
    int descriptor; /* in blocking mode: engines wait without it */
    uint16_t selection;
    uint32_t taken_bytes; /* of the first piece: of its first frame, or of its bytes */
    unsigned piece_count;
    struct engine_piece pieces[CONNECTION_EXTENTS]; /* what is not sent yet */
    const uint8_t *unread;                          /* received and not consumed; lent */
    size_t unread_bytes;
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
    /*
     * The peer took bytes, or refused some (connection->blocked), or acknowledged some; engine_has_unsent says if anything is left to
     * send. Acknowledgements alone are reported only while the connection is blocked or finishing.
     */
    void (*progressed)(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns);
    /*
     * The connection ended, and nothing of it is pinned: error 0 after engine_finish went through on both sides or engine_abort, else a
     * negative errno. It is gone (memory included) when the handler returns. Exactly once per connection that was not detached, never
     * from inside another engine_* call.
     */
    void (*closed)(void *context, struct connection *connection, int error, uint64_t now_ns);
    /*
     * engine_detach went through: the connection is gone when the handler returns, what `handoff` lends included; the descriptor is the
     * handler's. NULL where connections are never detached.
     */
    void (*detached)(void *context, struct connection *connection, const struct engine_handoff *handoff, uint64_t now_ns);
    /* Another thread woke the engine. May come once for several wake-ups, and without any. */
    void (*woken)(void *context, uint64_t now_ns);
};

enum engine_zerocopy { ENGINE_ZEROCOPY_AUTO, ENGINE_ZEROCOPY_ON, ENGINE_ZEROCOPY_OFF };

struct engine_options {
    const struct engine_handler *handler;
    void *context;
    uint32_t max_connections; /* slots; memory is touched only when used */
    uint32_t receive_buffers; /* power of two: buffers lent for receiving, shared by all connections */
    uint32_t receive_buffer_bytes;
    uint32_t sends_per_turn; /* service budget of one turn, e.g. 256 */
    bool busy_poll;          /* engine_turn never sleeps */
    enum engine_zerocopy zerocopy;
    struct descriptor_budget *descriptors; /* that open connections take from; accepting pauses while none is left. May be NULL */
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
    void (*detach)(struct engine *engine, struct connection *connection);
    int (*attach)(struct engine *engine, const struct engine_handoff *handoff, void *owner, struct connection **out);
    void (*add_channel)(struct engine *engine, const struct channel *channel);
    uint64_t (*turn)(struct engine *engine, uint64_t deadline_ns);
};

/* Blocks for control runs that nobody uses now, kept for the next ones. */
struct control_blocks {
    void *first;
    uint32_t count;
};

/* A channel that the engine knows by its number. */
struct engine_channel {
    struct channel *channel; /* NULL: the number is free */
    struct holds *holds;     /* kept up to date with what connections hold of the channel; may be NULL */
};

/* The part that every engine has; engines embed it first in their own. */
struct engine {
    const struct engine_ops *ops;
    struct engine_options options;
    struct engine_counters counters;
    struct control_blocks control_blocks;
    struct engine_channel *channels; /* by number */
    unsigned channel_count, channel_capacity;
    struct engine_unread *unread; /* input that attached connections brought along */
    uint16_t listen_port;         /* 0 without listener */
    struct waker waker;           /* ends the sleep of engine_turn */
};

/* --- life --- */

/* Aborts what is open without telling the handler and frees everything. */
void engine_destroy(struct engine *engine);

/* The engine's clock in ns: monotonic time, or the simulator's. */
uint64_t engine_now(struct engine *engine);

/*
 * Does the I/O that is due: serves connections handed over (at most sends_per_turn), accepts, receives, calls handlers; if there was
 * nothing to do it sleeps until something happens or until `deadline_ns` (0: don't sleep; CLOCK_NEVER: no deadline). It never sleeps
 * after it called a handler, which may have started what the deadline does not know.
 *
 * Returns the time of the last look at I/O: all that had happened by then has been told to the handlers. Time-outs are judged by it, not
 * by the clock after the work, so that a thread that was held up does not blame its peers.
 */
uint64_t engine_turn(struct engine *engine, uint64_t deadline_ns);

/* Announces that the next turn may sleep. After it, look once more for work that other threads publish, and pass deadline 0 if there is. */
void engine_prepare_sleep(struct engine *engine);

/* What ends the engine's sleep: for other threads, by waker_wake. Lives as long as the engine. */
struct waker *engine_waker(struct engine *engine);

/*
 * Makes a channel known, whose frames the engine then sends; it and `holds` (NULL: nobody asks) outlive the connections that follow it.
 * Returns its number, the same in no particular order in other engines, or -ENOMEM, or -ENOSPC if there are ENGINE_MAX_CHANNELS. What is
 * known before the first turn may be registered with the kernel or the network card.
 */
int engine_add_channel(struct engine *engine, struct channel *channel, struct holds *holds);

/* Forgets a channel of which no connection holds anything; its number may be used again. */
void engine_remove_channel(struct engine *engine, uint16_t channel);

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

/* Says which frames of its channel the connection is sent: the number of a selection, 0: all. While no frame is held for it. */
void engine_select(struct engine *engine, struct connection *connection, uint16_t selection);

/*
 * Appends the frames [from, to) of the channel with that number to what the connection is to send; what is not selected is skipped when
 * its turn comes. Joins the last extent where it ends at `from`. 0, or -ENOBUFS if all extents are in use. Takes effect with engine_serve.
 */
int engine_append_frames(struct engine *engine, struct connection *connection, uint16_t channel, uint64_t from, uint64_t to);

/* Appends a copy of `length` bytes; joins the last control run where it has room. 0, -ENOBUFS or -ENOMEM. Takes effect with engine_serve. */
int engine_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length);

/*
 * Drops everything that has not begun: whole extents, and of a begun one the frames after those in flight.
 * `*resume_from`, if not NULL, becomes the first frame dropped, or HOLDS_NONE if no frame was dropped.
 */
void engine_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from);

/* The lowest frame appended and not yet taken whole, HOLDS_NONE if there is none. */
uint64_t engine_next_untaken(const struct connection *connection);

/* True while anything that was appended has not been taken. */
bool engine_has_unsent(const struct connection *connection);

/* True while the first part of what is unsent is control bytes. */
bool engine_sends_control(const struct connection *connection);

/* Copies the control bytes that have not begun, at most one run of them, and returns how many. */
size_t engine_copy_unbegun_control(const struct connection *connection, uint8_t copy[CONTROL_RUN_BYTES]);

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

/*
 * Resets the connection now, letting go of every frame that is not pinned; `closed` follows in a later turn, when nothing is pinned any
 * more (a reset socket lets go of its zero-copy sends at once). Idempotent.
 */
void engine_abort(struct engine *engine, struct connection *connection);

/* --- moving --- */

/*
 * Takes the connection off the engine, to be attached to another one or sent to another process: it is served and read no more, and
 * `detached` follows once no operation and no pin is outstanding, or `closed` if it fails before. The caller bounds the time with
 * engine_abort. 0; -ENOTSUP where connections have no descriptor of their own; -EALREADY if it is finishing, dead or detaching.
 */
int engine_detach(struct engine *engine, struct connection *connection);

/*
 * Takes over a connection: it sends what the handoff says is unsent and then what is appended, receives what was unread first, then what
 * arrives. Its frames must be held by the caller's mark. 0 and the connection in *out, the descriptor then the engine's; -ENOTSUP, or
 * -ENOBUFS without a free slot, or -ENOMEM, and nothing was taken.
 */
int engine_attach(struct engine *engine, const struct engine_handoff *handoff, void *owner, struct connection **out);

#endif
