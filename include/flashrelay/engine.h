/*
 * The boundary between policy and I/O. An engine moves bytes for one thread; what to send to whom is decided above it. The kinds of
 * engines are in engine_kind.h; the simulator's is in engine_sim.h.
 *
 * An engine and its connections belong to one thread; only its waker may be used by others. All I/O of the thread happens in
 * engine_turn, which calls the handler below; every other call only notes what is to be done. Handlers may call any engine_* function
 * but engine_turn and engine_destroy.
 *
 * Every frame that an engine may touch is held. A frame is *held* for a connection while it is in an extent (offered) or *pinned* (taken
 * by the peer's socket, or sent, and still read: by a zero-copy send without its notification, or until its bytes are acknowledged). An
 * engine may hold frames for itself in the same holds. `closed` is called only when nothing of the connection is pinned.
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
    uint16_t channel; /* the channel's number in the engine */
    uint16_t kind;    /* enum extent_kind */
};
_Static_assert(sizeof(struct extent) == 16, "four extents and what each send touches are to fit into two cache lines");

/*
 * The part of a connection that every engine has; engines embed it first in their own. Code above the engine may read `blocked`, `queued`,
 * `finishing`, `dead`, `held_sequence` and `pinned_sequence`, and may write `owner` only. All frames of a connection belong to one channel at
 * a time, and to one selection.
 */
struct connection {
    void *owner;              /* the object above the engine that the connection belongs to: subscriber, upstream ... */
    uint64_t held_sequence;   /* lowest frame the engine may still touch for the connection, HOLDS_NONE if none */
    uint64_t pinned_sequence; /* lowest frame taken and still touched, HOLDS_NONE if none */
    uint32_t taken_bytes;     /* of the first frame of extents[0], or of its bytes */
    uint32_t offered_bytes;   /* of extents[0], after those taken: in a send whose result is outstanding */
    uint16_t channel;         /* number of the channel of the frames held */
    uint16_t selection;       /* number of the selection of that channel; 0: everything */
    uint8_t extent_count;
    bool blocked : 1;                          /* the peer took less than was offered; it waits for room */
    bool queued : 1;                           /* handed over by engine_serve, waits to be served */
    bool finishing : 1;                        /* engine_finish was called */
    bool dead : 1;                             /* failed or aborted: `closed` follows, once nothing is pinned */
    bool detaching : 1;                        /* engine_detach was called: `detached` follows, or `closed` */
    bool has_unread : 1;                       /* engine->unread has received bytes of the connection */
    uint16_t note;                             /* for the engine's own use: these bytes would be padding */
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

/* A part of the outgoing stream of a connection that is moved. */
struct engine_piece {
    uint16_t kind;        /* EXTENT_FRAMES, or EXTENT_BYTES for both kinds of bytes */
    uint16_t channel;     /* of frames: its number in the engine that detaches the connection, or attaches it */
    uint32_t length;      /* of bytes */
    uint64_t from, to;    /* of frames: [from, to) */
    const uint8_t *bytes; /* lent */
};

/* A connection on its way to another engine, or process: all of its state, so that the peer does not notice the move. */
struct engine_handoff {
    int descriptor; /* in blocking mode: no engine blocks on it */
    uint16_t selection;
    uint32_t taken_bytes; /* of the first piece: of its first frame, or of its bytes */
    unsigned piece_count;
    struct engine_piece pieces[CONNECTION_EXTENTS]; /* what is not sent yet */
    const uint8_t *unread;                          /* received and not consumed; lent */
    size_t unread_bytes;
};

/* Callbacks of an engine, on its thread. `context` is engine_options.context; `now_ns` is the time by the engine's clock. */
struct engine_handler {
    /* A peer connected to the listener. The connection is open; the handler sets its owner, or refuses it with engine_abort. */
    void (*accepted)(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns);
    /* engine_connect ended: error is 0, or a negative errno; then the connection is gone on return, and `closed` does not follow. */
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
     * The connection ended, and nothing of it is pinned. error is 0 after engine_abort, or after engine_finish once both sides have
     * finished; else a negative errno. The connection and its memory are gone when the handler returns. Called exactly once per connection
     * that did not end by `connected` or `detached`, and never from inside another engine_* call.
     */
    void (*closed)(void *context, struct connection *connection, int error, uint64_t now_ns);
    /*
     * engine_detach is complete. The handler owns the descriptor; the connection, and everything that `handoff` lends, is gone when the
     * handler returns. NULL where connections are never detached.
     */
    void (*detached)(void *context, struct connection *connection, const struct engine_handoff *handoff, uint64_t now_ns);
    /* Another thread woke the engine. May be called once for several wake-ups, or without any. */
    void (*woken)(void *context, uint64_t now_ns);
};

enum engine_zerocopy { ENGINE_ZEROCOPY_AUTO, ENGINE_ZEROCOPY_ON, ENGINE_ZEROCOPY_OFF };

struct engine_options {
    const struct engine_handler *handler;
    void *context;
    uint32_t max_connections; /* slots; memory is touched only when used */
    uint32_t receive_buffers; /* power of two: buffers lent for receiving, shared by all connections */
    uint32_t receive_buffer_bytes;
    uint32_t sends_per_turn; /* most connections served per turn, e.g. 256 */
    bool busy_poll;          /* engine_turn never sleeps */
    enum engine_zerocopy zerocopy;
    struct descriptor_budget *descriptors; /* for open connections; accepting pauses while none is left. NULL: no limit */
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

/* The functions of one kind of engine, behind the engine_* functions of the same name. detach and attach may be NULL. */
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

/* Unused blocks for control runs, kept for later ones. */
struct control_blocks {
    void *first;
    uint32_t count;
};

/* A channel that the engine knows by its number. */
struct engine_channel {
    struct channel *channel; /* NULL: the number is free */
    struct holds *holds;     /* counts the frames of the channel that connections hold; may be NULL */
};

/* The part that every engine has; engines embed it first in their own. */
struct engine {
    const struct engine_ops *ops;
    struct engine_options options;
    struct engine_counters counters;
    struct control_blocks control_blocks;
    struct engine_channel *channels; /* by number */
    unsigned channel_count, channel_capacity;
    struct engine_unread *unread; /* received, not consumed, and kept outside of the engine's buffers */
    uint16_t listen_port;         /* 0 without listener */
    struct waker waker;           /* ends the sleep of engine_turn */
};

/* --- life --- */

/* Aborts all connections without calling the handler, and frees the engine, after its thread's last turn. NULL is allowed. */
void engine_destroy(struct engine *engine);

/* The engine's clock in ns: monotonic time, or the simulator's. */
uint64_t engine_now(struct engine *engine);

/*
 * Does the I/O that is due: serves connections handed over (at most sends_per_turn), accepts, receives, calls handlers. If there is
 * nothing to do it sleeps until something happens or until `deadline_ns` (0: don't sleep; CLOCK_NEVER: no deadline). It never sleeps
 * after it has called a handler, which may have started something that `deadline_ns` does not account for.
 *
 * Returns the time, by the engine's clock, of the last look at I/O of which everything has been reported to the handlers. The caller
 * compares time-outs with this time, not with the clock after the work, so that a thread that was held up does not blame its peers.
 */
uint64_t engine_turn(struct engine *engine, uint64_t deadline_ns);

/*
 * Announces that the next turn may sleep. The caller then looks once more for work that other threads publish, and passes deadline 0 to
 * engine_turn if there is any. Does nothing for an engine with busy_poll, which never sleeps.
 */
void engine_prepare_sleep(struct engine *engine);

/* The waker with which other threads end the engine's sleep (waker_wake). Lives as long as the engine. Any thread. */
struct waker *engine_waker(struct engine *engine);

/*
 * Adds a channel whose frames connections may follow. The channel and `holds` (NULL: not counted) must outlive those connections. Returns
 * the channel's number in this engine, which may be another one in other engines; or -ENOMEM, or -ENOSPC if there are ENGINE_MAX_CHANNELS
 * already. The memory of channels that are added before the first turn may be registered with the kernel or the network card.
 */
int engine_add_channel(struct engine *engine, struct channel *channel, struct holds *holds);

/* --- listening and connecting --- */

/* Listens with SO_REUSEPORT. 0 or a negative errno: -EBUSY if the engine has a listener already, -EADDRINUSE, -EACCES ... */
int engine_listen(struct engine *engine, const struct address *address, const struct engine_listen_options *options);

/* The port listened on (for port 0), host byte order; 0 without listener. */
uint16_t engine_listen_port(const struct engine *engine);

/* Stops or resumes accepting; connections that arrive meanwhile wait in the backlog. */
void engine_accept_pause(struct engine *engine, bool paused);

/* In the next turn accepts the queued connections for which there are slots, also during a pause, and closes the listener. */
void engine_listen_stop(struct engine *engine);

/* Starts connecting; `connected` reports the result. NULL if all slots are taken. The caller bounds the time with engine_abort. */
struct connection *engine_connect(struct engine *engine, const struct address *remote, void *owner);

/* --- sending (on a dead connection these functions do nothing and report success) --- */

/* Sets which frames of its channel the connection is sent: the number of a selection, 0: all. Only while no frame is held for it. */
void engine_set_selection(struct engine *engine, struct connection *connection, uint16_t selection);

/*
 * Appends the frames [from, to) of the channel with number `channel` to the connection's stream; frames that are not selected are skipped
 * when the stream reaches them. Extends the last extent if it ends at `from`. 0, or -ENOBUFS if all extents are in use. Takes effect with
 * engine_serve.
 */
int engine_append_frames(struct engine *engine, struct connection *connection, uint16_t channel, uint64_t from, uint64_t to);

/* Appends a copy of `length` bytes, to the last control run if it has room. 0, -ENOBUFS or -ENOMEM. Takes effect with engine_serve. */
int engine_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length);

/*
 * Drops the parts of the stream that have not begun: whole extents, and of an extent that has begun the frames after those in flight.
 * `*resume_from` (`resume_from` may be NULL) becomes the first frame dropped, or HOLDS_NONE if no frame was dropped.
 */
void engine_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from);

/* The lowest frame appended and not yet taken whole, HOLDS_NONE if there is none. */
uint64_t engine_next_untaken(const struct connection *connection);

/* True while anything that was appended has not been taken. */
bool engine_has_unsent(const struct connection *connection);

/* True while an extent is free: then engine_append_frames and engine_append_bytes do not return -ENOBUFS. */
bool engine_has_room(const struct connection *connection);

/* True while the next bytes to be sent are control bytes. */
bool engine_is_control_next(const struct connection *connection);

/* Copies the first control run that has not begun; returns its length in bytes, 0 if there is none. */
size_t engine_copy_unbegun_control(const struct connection *connection, uint8_t copy[CONTROL_RUN_BYTES]);

/* Queues the connection for service, behind those queued before. Idempotent. The engine itself queues a blocked one that has room again. */
void engine_serve(struct engine *engine, struct connection *connection);

/* --- receiving and ending --- */

/* Reads again after `received` consumed less than it was offered; the rest is offered first. */
void engine_receive_resume(struct engine *engine, struct connection *connection);

/*
 * Ends the stream: nothing may be appended any more, the engine sends the rest, then FIN. Bytes that arrive are still offered to `received`
 * until the peer's FIN; then `closed` follows. The caller bounds the time with engine_abort.
 */
void engine_finish(struct engine *engine, struct connection *connection);

/*
 * Resets the connection now and lets go of every frame that is not pinned. `closed` follows in a later turn, when nothing is pinned any
 * more (the kernel lets go of the zero-copy sends of a reset socket at once). Idempotent.
 */
void engine_abort(struct engine *engine, struct connection *connection);

/* --- moving --- */

/*
 * Takes the connection off the engine, to be attached to another one or sent to another process. It is no longer served or read;
 * `detached` follows once no operation and no pin is outstanding, or `closed` if the connection fails before. The caller bounds the time
 * with engine_abort. 0; -ENOTSUP where connections have no descriptor of their own; -EALREADY if it is finishing, dead or detaching.
 */
int engine_detach(struct engine *engine, struct connection *connection);

/*
 * Takes over a detached connection. It first sends the unsent pieces of `handoff`, whose bytes are copied, and first offers its unread bytes,
 * which are copied too. The caller's mark must protect its frames. 0: *out is the connection, and the engine owns the descriptor. -ENOTSUP,
 * -ENOBUFS if all slots are taken, -ENOMEM, or another negative errno of the system: nothing was taken over.
 */
int engine_attach(struct engine *engine, const struct engine_handoff *handoff, void *owner, struct connection **out);

#endif
