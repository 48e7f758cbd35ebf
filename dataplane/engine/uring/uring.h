/*
 * The io_uring engine's own structures, and what its files call of each other. All of it runs on the engine's thread, but uring_wake.
 *
 * Connections use ordinary descriptors. The registered file table makes sends no faster (measured: within 1 %), and on kernels before
 * 6.13 one long-lived request on a registered file, such as a multishot receive, keeps every file that is unregistered after it from
 * being closed (liburing issue 1192).
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

/* Zero-copy sends of one connection whose notification may be outstanding at once; what goes beyond is copied. */
#define URING_PINS 3

/* What a completion belongs to. */
enum uring_operation {
    URING_RECEIVE,
    URING_SEND,
    URING_WRITABLE,
    URING_CONNECT,
    URING_CANCEL, /* of one of these; what was cancelled reports for itself */
    URING_CLOSE,
    URING_LISTENER,
    URING_WAKE_EVENT,                                   /* the eventfd was written to */
    URING_WOKEN,                                        /* another ring's message arrived */
    URING_WAKE_FAILED,                                  /* our message to another ring did not go through */
    URING_SEND_ZEROCOPY,                                /* and the ones up to the next: each names its pin */
    URING_OPERATIONS = URING_SEND_ZEROCOPY + URING_PINS /* how many there are */
};

/* user_data: the operation, the generation of the connection's slot, the slot. */
#define URING_OPERATION_SHIFT  56
#define URING_GENERATION_SHIFT 32
#define URING_GENERATION_MASK  0xffffffu

#define URING_NO_BUFFER   UINT16_MAX
#define URING_MAX_BUFFERS 32768 /* the kernel's limit of a buffer ring */
/* Most that one send offers: bounds what one connection gets of a turn. */
#define URING_SEND_BYTES ((size_t)1 << 20)
/* Registered pieces of memory; one may be 1 GiB. */
#define URING_REGIONS 64

struct uring_connection {
    struct connection base;
    struct queue_node queued, todo;
    struct queue_node waiting; /* in one of the queues of those that wait to receive */
    union {
        uint64_t pins[URING_PINS];       /* first frame of each zero-copy send without notification, or HOLDS_NONE */
        struct sockaddr_storage *remote; /* while connecting; owned */
    };
    uint32_t generation; /* how often the slot was used: stale completions are told by it */
    int descriptor;
    int error;                          /* what `closed` will say */
    uint16_t operations;                /* completions still to come */
    uint16_t first_buffer, last_buffer; /* received, not yet consumed, in order */
    uint16_t turn_buffers;              /* received in the turn whose number is `turn` */
    uint16_t turn;
    bool in_todo : 1;
    bool connecting : 1;
    bool receive_armed : 1;
    bool receive_cancelled : 1;
    bool receive_paused : 1; /* `received` consumed less than it was offered */
    bool receive_waits : 1;  /* in one of the lists of those that wait */
    bool resume_wanted : 1;
    bool peer_finished : 1;    /* its FIN is here */
    bool finish_delivered : 1; /* and `received` knows */
    bool write_finished : 1;   /* our FIN is on its way */
    bool writable_armed : 1;
    bool ended : 1;    /* closed; `closed` is told once nothing is pinned */
    bool reported : 1; /* `closed`, `detached`, or a failed `connected`, was called */
};

/* 10,000 subscribers: keep it to three cache lines. */
_Static_assert(sizeof(struct uring_connection) <= 192, "a connection has outgrown its three cache lines");

/* Buffers lent for receiving. */
struct uring_buffers {
    struct io_uring_buf_ring *ring; /* what the kernel may fill */
    uint8_t *memory;
    struct uring_buffer {
        uint32_t offset, length; /* what is left of it, while a connection keeps it */
        uint16_t next;
    } * kept;
    uint32_t count, bytes; /* how many, and the size of each */
    uint32_t kept_count;
    /* Connections that wait to receive: for which no buffer was left; and those that had their share, which come after them. */
    struct queue hungry, sated;
};

struct uring_zerocopy {
    bool enabled, report;
    bool pays;          /* where the choice is automatic: the kernel did not copy */
    uint64_t ask_at_ns; /* where it did, or has not answered yet: when one connection asks again */
    uint32_t copied_in_row;
    unsigned region_count;
    struct iovec regions[URING_REGIONS];
};

struct uring_engine {
    struct engine base;
    struct io_uring ring;
    struct uring_features features;
    bool enabled;      /* the running thread has taken the ring over */
    struct slab slots; /* of struct uring_connection */
    struct queue send_queue;
    struct queue todo; /* dead, to be connected, resumed, detached or finished */
    struct listener listener;
    bool listener_armed; /* a poll of it is outstanding */
    struct uring_buffers buffers;
    struct uring_zerocopy zerocopy;
    int wake_event; /* eventfd */
    uint64_t wake_count;
    uint16_t turn;    /* the number of the turn, modulo its size */
    uint64_t now_ns;  /* read once after each io_uring_enter */
    uint64_t told_ns; /* what had completed by then has been handled */
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

/* What this kernel allows, tried once per process. 0, or why io_uring can't be used at all. Any thread. */
int uring_probe(struct uring_features *features, unsigned *setup_flags);

/* Says why a ring can't be had, and what would help. */
void uring_explain_refusal(int error, char *text, size_t capacity);

/* --- ring.c --- */

int uring_ring_open(struct uring_engine *engine, unsigned setup_flags);
void uring_ring_close(struct uring_engine *engine);

/* Takes the ring over on the running thread, before its first use. */
void uring_ring_enable(struct uring_engine *engine);

/* The next free submission; submits what is prepared if there is none. */
struct io_uring_sqe *uring_submission(struct uring_engine *engine);

/* Prepares the cancellation of `operation` of a connection. */
void uring_cancel(struct uring_engine *engine, struct uring_connection *connection, enum uring_operation operation);

/* Names the connection's operation in a submission and counts it. */
void uring_tag(struct uring_engine *engine, struct uring_connection *connection, struct io_uring_sqe *submission,
               unsigned operation);

/* The connection of a tag, or NULL if its slot has been used anew since. */
struct uring_connection *uring_tagged(struct uring_engine *engine, uint64_t user_data);

/* user_data of what belongs to no connection. */
uint64_t uring_tag_without_connection(enum uring_operation operation, uint64_t detail);

/* --- slots.c --- */

/* The connection in the slot of that number. */
static inline struct uring_connection *uring_slot(const struct uring_engine *engine, uint32_t number)
{
    return (struct uring_connection *)(void *)engine->slots.memory + number;
}

/* A zeroed connection without descriptor, or NULL if all are taken. */
struct uring_connection *uring_slot_take(struct uring_engine *engine);
bool uring_slot_is_free(const struct uring_engine *engine);

/* Gives the slot back if the connection is reported as closed and nothing names it any more. */
void uring_slot_release(struct uring_engine *engine, struct uring_connection *connection);

/* --- listen.c --- */

void uring_listener_init(struct uring_engine *engine);
int uring_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options);
void uring_accept_pause(struct engine *base, bool paused);
void uring_listen_stop(struct engine *base);

/* As listener_turn says; arms the poll where nobody is known to be queued. */
bool uring_listener_turn(struct uring_engine *engine, uint64_t *deadline_ns);
void uring_listener_ready(struct uring_engine *engine);

/* --- connect.c --- */

struct connection *uring_connect(struct engine *base, const struct address *remote, void *owner);
void uring_connect_start(struct uring_engine *engine, struct uring_connection *connection);
void uring_connect_done(struct uring_engine *engine, struct uring_connection *connection, int result);

/* --- receive.c --- */

int uring_buffers_open(struct uring_engine *engine);
void uring_buffers_close(struct uring_engine *engine);

/* Starts the multishot receive, unless something speaks against it. */
void uring_receive_arm(struct uring_engine *engine, struct uring_connection *connection);
void uring_received(struct uring_engine *engine, struct uring_connection *connection, int result, unsigned flags);
void uring_receive_resume(struct engine *base, struct connection *connection);

/* Offers what was kept, then receives again. */
void uring_receive_offer_kept(struct uring_engine *engine, struct uring_connection *connection);

/* Arms who waits to receive, if there are buffers. */
void uring_receive_feed(struct uring_engine *engine);

/* True if somebody waits to receive and there are buffers. */
bool uring_receive_is_due(const struct uring_engine *engine);

/* Gives back what was kept for a connection that ended. */
void uring_receive_drop_kept(struct uring_engine *engine, struct uring_connection *connection);

/* Stops offering and receiving: what still arrives is kept. */
void uring_receive_pause(struct uring_engine *engine, struct uring_connection *connection);

/* Moves what is kept to the engine's unread bytes. 0 or -ENOMEM. */
int uring_receive_take_kept(struct uring_engine *engine, struct uring_connection *connection);

/* --- send.c --- */

void uring_serve(struct engine *base, struct connection *connection);

/* Prepares sends for who was handed over, at most sends_per_turn. How many were served. */
unsigned uring_send_prepare(struct uring_engine *engine);
void uring_sent(struct uring_engine *engine, struct uring_connection *connection, int result);
void uring_writable(struct uring_engine *engine, struct uring_connection *connection);

/* --- zerocopy.c --- */

/* The memory of a channel is registered with the ring if the channel is known before the first turn; else its frames are copied. */
void uring_add_channel(struct engine *base, const struct channel *channel);

/* Registers the memory with the ring, on the running thread. */
void uring_zerocopy_start(struct uring_engine *engine);

/* Prepares a zero-copy send if these bytes are worth one; false if they are to be copied. */
bool uring_zerocopy_prepare(struct uring_engine *engine, struct uring_connection *connection, const uint8_t *bytes,
                            size_t length);
void uring_zerocopy_done(struct uring_engine *engine, struct uring_connection *connection, unsigned pin, int result,
                         unsigned flags);

/* --- close.c --- */

void uring_finish(struct engine *base, struct connection *connection);
void uring_abort(struct engine *base, struct connection *connection);

/* Goes on with the orderly end: our FIN once everything is taken, closed once the peer's is here too. */
void uring_finish_proceed(struct uring_engine *engine, struct uring_connection *connection);

/* The connection failed: lets go of everything and reports it. */
void uring_fail(struct uring_engine *engine, struct uring_connection *connection, int error);

/* Closes the descriptor, which the last submission so far may still name, and lets go of what was received. */
void uring_close(struct uring_engine *engine, struct uring_connection *connection);

/* Ends the connection: lets go of all that is not pinned, closes the descriptor, and reports `closed` once nothing is pinned. */
void uring_end(struct uring_engine *engine, struct uring_connection *connection, int error);

/* Reports the end of a connection that has ended, if nothing is pinned any more. */
void uring_report_end(struct uring_engine *engine, struct uring_connection *connection);

/* Resets the connection in the network and lets go of what the kernel still sends for it. */
void uring_reset(struct uring_engine *engine, struct uring_connection *connection);

/* --- move.c --- */

void uring_detach(struct engine *base, struct connection *connection);

/* Hands a connection that is to be detached over, once no operation and no pin is outstanding. */
void uring_detach_proceed(struct uring_engine *engine, struct uring_connection *connection);
int uring_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out);

/* --- wake.c --- */

void uring_wake(struct waker *waker, struct waker *from);
void uring_wake_arm(struct uring_engine *engine);

/* The message to another engine's ring failed: wakes it the other way. */
void uring_wake_fallback(uint64_t detail);

/* --- turn.c --- */

/* Notes that the next turn has something to do for the connection. */
void uring_todo(struct uring_engine *engine, struct uring_connection *connection);
uint64_t uring_turn(struct engine *base, uint64_t deadline_ns);

/* --- uring.c --- */

extern const struct engine_ops uring_ops;

#endif
