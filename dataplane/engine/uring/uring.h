/*
 * The io_uring engine's own structures, and the functions that its files call of each other. They run on the engine's thread, except
 * uring_wake and where it is said.
 *
 * Connections use ordinary descriptors. The registered file table makes sends no faster (measured: a bare loop with it costs 1.04 times as
 * much, 0.90-1.15), and on kernels before 6.13 one long-lived request on a registered file, such as a multishot receive, keeps every file
 * that is unregistered after it from being closed (liburing issue 1192).
 */
#ifndef DATAPLANE_ENGINE_URING_URING_H
#define DATAPLANE_ENGINE_URING_URING_H

#include "base/slab.h"
#include "engine/listener.h"
#include "engine/queue.h"
#include "engine/uring/compat.h"
#include "flashrelay/engine.h"
#include "flashrelay/engine_uring.h"

#include <netinet/in.h>

/* Most zero-copy sends per connection whose notification is outstanding; sends beyond it are copied. */
#define URING_PINS 3

/* The operation that a completion belongs to. */
enum uring_operation {
    URING_RECEIVE,
    URING_SEND,
    URING_WRITABLE,
    URING_CONNECT,
    URING_CANCEL, /* of one of the others; the cancelled operation has a completion of its own */
    URING_CLOSE,
    URING_LISTENER,
    URING_WAKE_EVENT,    /* the eventfd was written to */
    URING_WOKEN,         /* another ring's message arrived */
    URING_WAKE_FAILED,   /* our message to another ring did not go through */
    URING_SEND_ZEROCOPY, /* the first of URING_PINS numbers, one per pin */
};

/* user_data, from the top: the operation (8 bits), the generation of the connection's slot (24), the number of the slot (32). */
#define URING_OPERATION_SHIFT  56
#define URING_GENERATION_SHIFT 32
#define URING_GENERATION_MASK  0xffffffu

#define URING_NO_BUFFER   UINT16_MAX
#define URING_MAX_BUFFERS 32768 /* the kernel's limit for a buffer ring */
/* Most bytes that one send offers, to bound the part of a turn that one connection gets. */
#define URING_SEND_BYTES ((size_t)1 << 20)
/* Most registered pieces of memory, each of at most 1 GiB. */
#define URING_REGIONS 64

struct uring_connection {
    struct connection base;
    struct queue_node queued, todo;
    struct queue_node waiting; /* in uring_buffers.without_buffer or .over_share */
    union {
        uint64_t pins[URING_PINS];       /* first frame of each zero-copy send without notification, or HOLDS_NONE */
        struct sockaddr_storage *remote; /* while connecting; owned */
    };
    uint32_t generation; /* changes with each use of the slot, to recognise stale completions */
    int descriptor;
    int error;                          /* the error that `closed` will report */
    uint16_t operations;                /* completions still to come */
    uint16_t first_buffer, last_buffer; /* list of the buffers that are received and not yet consumed */
    uint16_t turn_buffers;              /* buffers received in the turn with the number `turn` */
    uint16_t turn;
    bool in_todo : 1;
    bool connecting : 1;
    bool receive_armed : 1;
    bool receive_cancelled : 1;
    bool receive_paused : 1; /* `received` consumed less than it was offered */
    bool receive_waits : 1;  /* `waiting` is in a queue */
    bool resume_wanted : 1;
    bool peer_finished : 1;    /* the peer's FIN has arrived */
    bool finish_delivered : 1; /* ... and was reported to `received` */
    bool write_finished : 1;   /* our FIN is on its way */
    bool writable_armed : 1;
    bool copies_only : 1; /* its socket can't send without copying */
    bool ended : 1;       /* uring_end was called; `closed` follows once nothing is pinned */
    bool reported : 1;    /* `closed`, `detached`, or a failed `connected`, was called */
};

/* There may be 10,000 of them: keep each to three cache lines. */
_Static_assert(sizeof(struct uring_connection) <= 192, "a connection has outgrown its three cache lines");

/* Buffers lent for receiving. */
struct uring_buffers {
    struct io_uring_buf_ring *ring; /* of the buffers that the kernel may fill */
    uint8_t *memory;
    struct uring_buffer {
        uint32_t offset, length; /* the bytes left in it, while it is kept for a connection */
        uint16_t next;
    } * kept;
    uint32_t count, bytes; /* how many, and the size of each */
    uint32_t kept_count;
    /* Connections that wait to receive: those in `without_buffer` found none; those in `over_share` had their share of a turn, and are next. */
    struct queue without_buffer, over_share;
};

struct uring_zerocopy {
    bool enabled, reports_copies;
    bool is_used;           /* with ENGINE_ZEROCOPY_AUTO: the kernel does not copy */
    uint64_t next_trial_ns; /* while it copies, or has not notified yet: when one connection tries again */
    uint32_t copied_in_row;
};

/* The memory of a channel, or a part of it. */
struct uring_region {
    const uint8_t *base;
    size_t length;
    size_t first_slice; /* the number of its first slice in the ring's table of buffers; the others follow */
};

struct uring_regions {
    struct uring_region list[URING_REGIONS];
    unsigned count;
    size_t slice_bytes;
    bool *is_registered; /* by the slice's number */
};

struct uring_engine {
    struct engine base;
    struct io_uring ring;
    struct uring_features features;
    bool enabled;      /* the running thread has taken the ring over */
    struct slab slots; /* of struct uring_connection */
    struct queue send_queue;
    struct queue todo; /* connections that are dead, or to be connected, resumed, detached or finished */
    struct listener listener;
    bool listener_armed; /* a poll of the listener is outstanding */
    struct uring_buffers buffers;
    struct uring_zerocopy zerocopy;
    struct uring_regions regions;
    int wake_event; /* eventfd */
    uint64_t wake_count;
    uint16_t turn;              /* the number of the turn, modulo 2^16 */
    uint64_t now_ns;            /* read at the beginning of a turn, and after its io_uring_enter */
    uint64_t reported_until_ns; /* everything that had completed by then has been handled */
};

static inline struct uring_engine *uring_of(struct engine *engine)
{
    return (struct uring_engine *)(void *)engine;
}

static inline struct uring_connection *uring_connection_of(struct connection *connection)
{
    return (struct uring_connection *)(void *)connection;
}

static inline const struct engine_handler *uring_handler(const struct uring_engine *engine)
{
    return engine->base.options.handler;
}

static inline void uring_count_system_call(struct uring_engine *engine)
{
    counter_add(&engine->base.counters.system_calls, 1);
}

/* --- probe.c --- */

/* Finds out what this kernel allows, by trying, once per process. 0, or a negative errno if io_uring can't be used at all. Any thread. */
int uring_probe(struct uring_features *features, unsigned *setup_flags);

/* Writes into `text` why a ring can't be had, and what would help. */
void uring_explain_refusal(int error, char *text, size_t capacity);

/* --- ring.c --- */

int uring_ring_open(struct uring_engine *engine, unsigned setup_flags);
void uring_ring_close(struct uring_engine *engine);

/* Enables the ring, before its first use; the calling thread is its only user from now on. */
void uring_ring_enable(struct uring_engine *engine);

/* Returns the next free submission; submits those that are prepared if there is none. */
struct io_uring_sqe *uring_submission(struct uring_engine *engine);

/* Prepares the cancellation of `operation` of a connection. */
void uring_cancel(struct uring_engine *engine, struct uring_connection *connection, enum uring_operation operation);

/* Sets the user_data of a submission to the connection's operation, and counts the completion to come. */
void uring_tag(struct uring_engine *engine, struct uring_connection *connection, struct io_uring_sqe *submission,
               unsigned operation);

/* The connection that user_data names, or NULL if its slot has been given back since. */
struct uring_connection *uring_tagged(struct uring_engine *engine, uint64_t user_data);

/* The user_data of an operation that belongs to no connection; `detail` has at most 56 bits. */
uint64_t uring_tag_without_connection(enum uring_operation operation, uint64_t detail);

/* --- slots.c --- */

/* The connection in the slot of that number. */
static inline struct uring_connection *uring_slot(const struct uring_engine *engine, uint32_t number)
{
    return (struct uring_connection *)(void *)engine->slots.memory + number;
}

/* Takes a slot: a zeroed connection without descriptor, or NULL if no slot is free. */
struct uring_connection *uring_slot_take(struct uring_engine *engine);
bool uring_slot_is_free(const struct uring_engine *engine);

/* Gives the slot back if the end of the connection is reported, no operation is outstanding and no queue has the connection. */
void uring_slot_release(struct uring_engine *engine, struct uring_connection *connection);

/* --- listen.c --- */

void uring_listener_init(struct uring_engine *engine);
int uring_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options);
void uring_accept_pause(struct engine *base, bool paused);
void uring_listen_stop(struct engine *base);

/* As listener_turn says; arms a poll of the listener if no connection is known to be queued. */
bool uring_listener_turn(struct uring_engine *engine, uint64_t *deadline_ns);
void uring_listener_ready(struct uring_engine *engine);

/* --- connect.c --- */

struct connection *uring_connect(struct engine *base, const struct address *remote, void *owner);
void uring_connect_start(struct uring_engine *engine, struct uring_connection *connection);
void uring_connect_done(struct uring_engine *engine, struct uring_connection *connection, int result);

/* --- receive.c --- */

int uring_buffers_open(struct uring_engine *engine);
void uring_buffers_close(struct uring_engine *engine);

/* Starts the multishot receive, unless it runs, is paused or waits for its turn, or the connection has no more to receive. */
void uring_receive_arm(struct uring_engine *engine, struct uring_connection *connection);
void uring_received(struct uring_engine *engine, struct uring_connection *connection, int result, unsigned flags);
void uring_receive_resume(struct engine *base, struct connection *connection);

/* Offers the kept bytes to the handler again; once all are consumed, resumes receiving. */
void uring_receive_offer_kept(struct uring_engine *engine, struct uring_connection *connection);

/* Starts the receive of the connections that wait for it, if there are buffers. */
void uring_receive_restart_waiting(struct uring_engine *engine);

/* True if a connection waits to receive and there are buffers. */
bool uring_receive_is_due(const struct uring_engine *engine);

/* Gives back the buffers and bytes that are kept for a connection that ended. */
void uring_receive_drop_kept(struct uring_engine *engine, struct uring_connection *connection);

/* Stops offering and receiving; bytes that still arrive are kept. */
void uring_receive_pause(struct uring_engine *engine, struct uring_connection *connection);

/* Copies the bytes of the kept buffers to the engine's unread bytes, and gives the buffers back. 0 or -ENOMEM. */
int uring_receive_take_kept(struct uring_engine *engine, struct uring_connection *connection);

/* --- send.c --- */

void uring_serve(struct engine *base, struct connection *connection);

/* Prepares sends for the connections that were handed over, at most sends_per_turn of them. Returns how many were served. */
unsigned uring_send_prepare(struct uring_engine *engine);
void uring_sent(struct uring_engine *engine, struct uring_connection *connection, int result);
void uring_writable(struct uring_engine *engine, struct uring_connection *connection);

/* --- regions.c --- */

/* Makes memory known, before uring_regions_open; beyond URING_REGIONS it is left out. */
void uring_regions_add(struct uring_regions *regions, const uint8_t *base, size_t length);

/* Makes room for the slices in the ring's table, on the thread that runs the engine. 0 or a negative errno; uring_regions_close frees. */
int uring_regions_open(struct uring_engine *engine);
void uring_regions_close(struct uring_engine *engine);

/*
 * The number of the registered buffer that has all these bytes; registers it first if need be. -ENOENT if they lie elsewhere or in two
 * slices, or the kernel's negative errno if it refuses (-ENOMEM: the limit of locked memory).
 */
int uring_regions_find(struct uring_engine *engine, const uint8_t *bytes, size_t length);

/* --- zerocopy.c --- */

/* The memory of a channel is registered with the ring if the channel is known before the first turn; else its frames are copied. */
void uring_add_channel(struct engine *base, const struct channel *channel);

/* Prepares zero-copy sends where they are wanted and possible, on the thread that runs the engine. */
void uring_zerocopy_start(struct uring_engine *engine);

/* Prepares a zero-copy send if these bytes are worth one; false if they are to be copied. */
bool uring_zerocopy_prepare(struct uring_engine *engine, struct uring_connection *connection, const uint8_t *bytes,
                            size_t length);
void uring_zerocopy_done(struct uring_engine *engine, struct uring_connection *connection, unsigned pin, int result,
                         unsigned flags);

/* --- close.c --- */

void uring_finish(struct engine *base, struct connection *connection);
void uring_abort(struct engine *base, struct connection *connection);

/* Proceeds with engine_finish: sends our FIN once everything is taken, ends the connection once the peer's FIN is reported too. */
void uring_finish_proceed(struct uring_engine *engine, struct uring_connection *connection);

/* The connection failed: resets it and reports its end. */
void uring_fail(struct uring_engine *engine, struct uring_connection *connection, int error);

/* Prepares the close of the descriptor, behind submissions that may still name it, and drops the received bytes that were not consumed. */
void uring_close(struct uring_engine *engine, struct uring_connection *connection);

/* Ends the connection: lets go of all frames that are not pinned, closes the descriptor, and calls `closed` once nothing is pinned. */
void uring_end(struct uring_engine *engine, struct uring_connection *connection, int error);

/* Calls `closed` for a connection that has ended, if nothing is pinned any more. */
void uring_report_end(struct uring_engine *engine, struct uring_connection *connection);

/* Resets the connection in the network; the kernel then lets go of what it still sends for it. */
void uring_reset(struct uring_engine *engine, struct uring_connection *connection);

/* --- move.c --- */

void uring_detach(struct engine *base, struct connection *connection);

/* Hands over a connection that is being detached, once no operation and no pin is outstanding. */
void uring_detach_proceed(struct uring_engine *engine, struct uring_connection *connection);
int uring_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out);

/* --- wake.c --- */

void uring_wake(struct waker *waker, struct waker *from);
void uring_wake_arm(struct uring_engine *engine);

/* The message to another engine's ring failed: wakes that engine, which `detail` points to, by its eventfd. */
void uring_wake_fallback(uint64_t detail);

/* --- turn.c --- */

/* Notes that the next turn has something to do for the connection. */
void uring_todo(struct uring_engine *engine, struct uring_connection *connection);
uint64_t uring_turn(struct engine *base, uint64_t deadline_ns);

/* --- uring.c --- */

extern const struct engine_ops uring_ops;

#endif
