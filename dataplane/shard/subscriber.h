/* One subscriber: its connection, its cursor into the channel and its place in the shard's lists. Its life, from accept to release. */
#ifndef DATAPLANE_SHARD_SUBSCRIBER_H
#define DATAPLANE_SHARD_SUBSCRIBER_H

#include "base/timer.h"
#include "flashrelay/admission.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws.h"

enum subscriber_state {
    SUBSCRIBER_HANDSHAKE, /* its request is being read */
    SUBSCRIBER_ADMITTING, /* control was asked; what it sends meanwhile stays with the engine */
    SUBSCRIBER_OPEN,
    SUBSCRIBER_CLOSING, /* the last bytes are on their way, or the connection was aborted */
    SUBSCRIBER_LEAVING, /* the connection is gone, a request to control is not back yet */
};

#define SUBSCRIBER_NO_INDEX UINT32_MAX

struct subscriber {
    /* What each fan-out touches. */
    struct connection *connection; /* NULL once it is gone */
    uint64_t cursor;               /* next frame to be offered */
    uint64_t next_untaken;         /* lowest frame offered and not taken whole; `cursor` if there is none */
    uint64_t offered_at_ns;        /* when it was last offered something with nothing outstanding */
    uint32_t open_index;           /* in its group's list of open ones, or SUBSCRIBER_NO_INDEX */
    uint32_t measurement;          /* that waits for this subscriber, or ROUND_TIMES_NONE */
    uint8_t state;                 /* enum subscriber_state */
    uint8_t cause;                 /* enum disconnect_cause, DISCONNECT_CAUSES while none */
    uint8_t channel;               /* that it follows, as the shard numbers them */
    uint8_t group;                 /* of the channel's fan-out */
    bool answered : 1;             /* the peer has our 101 */
    bool receive_paused : 1;
    bool request_out : 1; /* control has `request` */
    bool admitted : 1;    /* it takes a place, to be given back */
    bool was_open : 1;
    uint16_t selection;      /* of the channel; 0: everything */
    uint16_t head_bytes;     /* of the request in `head` so far */
    uint16_t received_units; /* of RECEIVE_UNIT_BYTES, in the window that began at `window_start_s` of the clock, modulo 2^16 */
    uint16_t window_start_s;

    struct timer blocked; /* while it has not taken all since it last refused bytes; ends at the send time-out */
    uint64_t blocked_at;  /* the head at that moment */
    uint64_t blocked_since_ns;

    struct timer timer; /* handshake, next ping, or close time-out */
    struct timer pong;
    union {
        char *head;               /* in the handshake: an incomplete request, or NULL */
        struct ws_reader *reader; /* afterwards: a frame or message that is half read, or NULL */
    };
    struct admission_request request; /* its ip: the client's, by the header where there is one */
};

/*
 * A subscriber may cost 512 bytes: this, the engine's part of at most 192 bytes, 4 in its group's list and 4 of the slabs' lists of free
 * slots. The limit leaves 32 of them, and what control counts per address, for a transform of its stream.
 */
_Static_assert(sizeof(struct subscriber) <= 184, "a subscriber has outgrown its share of 512 bytes");

/* An accepted connection becomes a subscriber; one that finds no slot is aborted. */
void subscriber_accept(struct shard *shard, struct connection *connection, const struct address *peer);

/* Its request is read, and control is to be asked: the request to control is then the caller's to complete and to send. */
void subscriber_ask(struct shard *shard, struct subscriber *subscriber);

/* It was admitted: serves the upgrade answer that waits on its connection; it receives whatever is published from now on. */
void subscriber_open(struct shard *shard, struct subscriber *subscriber);

/* Notes why it ends, once. */
void subscriber_blame(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause);

/* What becomes of frames that were offered and have not begun. */
enum subscriber_pending { SUBSCRIBER_DROP_PENDING, SUBSCRIBER_SEND_PENDING };

/*
 * Ends it in order: after the frame in flight, and all others where they are to be sent, comes `last`, then FIN. The peer has
 * SHARD_CLOSE_TIMEOUT_NS to take it all and answer.
 */
void subscriber_finish(struct shard *shard, struct subscriber *subscriber, const void *last, size_t length,
                       enum subscriber_pending pending);

/* Ends it now: nothing more is sent or held. */
void subscriber_abort(struct shard *shard, struct subscriber *subscriber);

/* Its connection is gone. */
void subscriber_closed(struct shard *shard, struct subscriber *subscriber);

/* Control's answer to a request of this subscriber. */
void subscriber_answered(struct shard *shard, struct subscriber *subscriber);

#endif
