/* One subscriber: its connection, its cursor into the channel and its place in the shard's lists. Its life, from accept to release. */
#ifndef DATAPLANE_SHARD_SUBSCRIBER_H
#define DATAPLANE_SHARD_SUBSCRIBER_H

#include "base/timer.h"
#include "flashrelay/admission.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws.h"

enum subscriber_state {
    SUBSCRIBER_HANDSHAKE, /* its request is being read */
    SUBSCRIBER_ADMITTING, /* control was asked; the engine keeps what the peer sends meanwhile */
    SUBSCRIBER_OPEN,
    SUBSCRIBER_CLOSING, /* the last bytes are on their way, or the connection was aborted */
    SUBSCRIBER_LEAVING, /* the connection is gone, a request to control is not back yet */
};

#define SUBSCRIBER_NO_INDEX UINT32_MAX

struct subscriber {
    /* Fields that each fan-out round touches. */
    struct connection *connection; /* NULL once it is gone */
    uint64_t cursor;               /* next frame to be offered */
    uint64_t next_untaken;         /* lowest frame offered and not taken whole; `cursor` if there is none */
    uint64_t offered_at_ns;        /* when frames were last offered while no earlier ones were outstanding */
    uint32_t open_index;           /* in its group's list of open subscribers, or SUBSCRIBER_NO_INDEX */
    uint32_t measurement;          /* id of the measurement that waits for this subscriber, or ROUND_TIMES_NONE */
    uint8_t state;                 /* enum subscriber_state */
    uint8_t cause;                 /* enum disconnect_cause, DISCONNECT_CAUSES while none */
    uint8_t channel;               /* that it follows: index in shard_options.channels */
    uint8_t group;                 /* of the channel's fan-out */
    bool upgrade_sent : 1;         /* the 101 answer was sent whole */
    bool receive_paused : 1;
    bool request_is_pending : 1; /* control has `request` */
    bool admitted : 1;           /* control has given it a place, which is to be given back */
    bool was_open : 1;
    uint32_t window_start : 27; /* of the current window for received bytes, in ticks of the engine's clock (session.c) */
    uint16_t selection;         /* of the channel; 0: everything */
    uint16_t head_bytes;        /* of the request in `head` so far */
    uint16_t received_units;    /* received in the current window (session.c) */
    uint16_t previous_units;    /* received in the window before */

    struct timer blocked;     /* runs from a refusal of bytes until all offered bytes are taken; ends at the send time-out */
    uint32_t blocked_at_head; /* the low bits of the channel's head at the refusal (lag.c) */
    uint32_t blocked_since;   /* the time of the refusal, in units of lag.c */

    struct timer timer; /* handshake, next ping, or close time-out */
    struct timer pong;
    union {
        char *head;               /* in the handshake: an incomplete request, or NULL */
        struct ws_reader *reader; /* afterwards: a frame or message that is half read, or NULL */
    };
    struct admission_request request; /* its `ip`: the peer's; from admission on the one in shard_options.ip_header, if any */
};

/*
 * A subscriber may cost 512 bytes: this struct, the engine's part (at most 192 bytes on sockets, 288 with a TCP of its own, and 12 there in
 * its table and timers), and 4 bytes in its group's list. This limit leaves 32 bytes for a transform of its stream.
 */
_Static_assert(sizeof(struct subscriber) <= 176, "a subscriber has outgrown its share of 512 bytes");

/* Makes a subscriber of an accepted connection, or aborts the connection if no slot is free. */
void subscriber_accept(struct shard *shard, struct connection *connection, const struct address *peer);

/*
 * Begins admission, after the HTTP request was read: control has SHARD_HANDSHAKE_TIMEOUT_NS from now on to answer. The caller then completes
 * `subscriber->request` and sends it to control.
 */
void subscriber_begin_admission(struct shard *shard, struct subscriber *subscriber);

/* Opens an admitted subscriber: sends the upgrade answer that waits on its connection, then what is published from now on. */
void subscriber_open(struct shard *shard, struct subscriber *subscriber);

/* Notes and counts why an open subscriber ends; only the first cause is kept. */
void subscriber_set_cause(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause);

/* What to do with frames that were offered and whose sending has not begun. */
enum subscriber_pending { SUBSCRIBER_DROP_PENDING, SUBSCRIBER_SEND_PENDING };

/*
 * Ends the subscriber in order: sends the frame in flight, all other offered frames if `pending` says so, the `length` bytes of `last`, then
 * FIN. The peer has SHARD_CLOSE_TIMEOUT_NS to take all of it and to answer. Aborts instead where the peer would get a close without our 101.
 */
void subscriber_finish(struct shard *shard, struct subscriber *subscriber, const void *last, size_t length,
                       enum subscriber_pending pending);

/* Resets the connection: nothing more is sent, and frames that are not pinned are let go of. */
void subscriber_abort(struct shard *shard, struct subscriber *subscriber);

/* Called when the connection is gone. Frees the slot, or once control has returned the request and taken back the place. */
void subscriber_closed(struct shard *shard, struct subscriber *subscriber);

/* Handles control's answer to a request of this subscriber: opens it, refuses it, or frees its slot. */
void subscriber_on_admission_answer(struct shard *shard, struct subscriber *subscriber);

#endif
