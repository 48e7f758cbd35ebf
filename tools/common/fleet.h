/*
 * Thousands of WebSocket subscribers on one thread and one engine. A member is a subscriber with a number; members connect at a bounded
 * pace, read at the speed of their behaviour, and return or stay away when their connection ends. Messages are passed to the handler in
 * pieces, which are valid during the call only: the fleet copies and keeps nothing.
 */
#ifndef TOOLS_COMMON_FLEET_H
#define TOOLS_COMMON_FLEET_H

#include "flashrelay/address.h"
#include "flashrelay/engine.h"
#include "flashrelay/ws.h"
#include "flashrelay/ws_uri.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a member's connection, or its attempt at one, ended. */
struct fleet_end {
    bool was_open; /* the connection had been upgraded */
    int error;     /* 0, or a negative errno of the connection */
    int status;    /* HTTP status, if the upgrade was refused; else 0 */
    /* Of the peer's close frame (WS_CLOSE_NO_STATUS: a close frame without code), or the code with which the member closed after a
     * protocol error of the peer (error -EPROTO); 0: neither. */
    uint16_t close_code;
    const char *reason; /* text of the close frame or of the refusal; valid during the call */
    size_t reason_length;
};

/* The fleet's callbacks. `now_ns` is monotonic time; handlers may call any fleet_* function but fleet_turn and fleet_destroy. */
struct fleet_handler {
    void (*opened)(void *context, uint32_t member, uint64_t now_ns); /* may be NULL */
    /* A piece of a message: bytes, length, opcode and last as in WS_EVENT_DATA. */
    void (*data)(void *context, uint32_t member, const struct ws_event *piece, uint64_t now_ns);
    void (*ended)(void *context, uint32_t member, const struct fleet_end *end, uint64_t now_ns); /* may be NULL */
};

struct fleet_options {
    const struct ws_uri *uri; /* ws:// only; its host is resolved once */
    uint32_t members;         /* numbers 0 .. members - 1 */
    uint32_t addresses;       /* spread over 127.0.0.1 .. 127.0.0.<addresses>, if the host is 127.0.0.1; 0 or 1: no spreading */
    uint32_t connecting_at_once;   /* at most this many handshakes at the same time; 0: 128 */
    uint32_t receive_buffers;      /* power of two; 0: 1024 */
    uint32_t receive_buffer_bytes; /* 0: 32 KiB */
    uint64_t max_message_bytes;    /* 0: 64 MiB */
    const struct fleet_handler *handler;
    void *context;
    uint64_t seed;
};

/* How a member behaves from now on. All zero: it reads all that arrives, and stays away when its connection ends. */
struct fleet_behaviour {
    bool never_reads;          /* reads nothing after its upgrade */
    uint64_t bytes_per_second; /* reads no faster than this; 0: as fast as it comes */
    bool returns;              /* connects again after its connection ended, whichever side ended it */
    uint64_t return_after_ns;  /* delay before it connects again */
    uint64_t stay_ns;          /* leaves by itself after about this long (half to one and a half times); 0: stays */
};

struct fleet_figures {
    uint32_t open, connecting;               /* now */
    uint64_t opened, refused, failed, ended; /* so far: upgraded; refused with a status; failed without; ended after upgrade */
    uint64_t bytes;
};

struct fleet;

/* Resolves the host and makes the engine. 0, -EHOSTUNREACH if the name has no address, -EPROTONOSUPPORT for wss, or what
 * engine_choose and engine_choice_create say. */
int fleet_create(struct fleet **out, const struct fleet_options *options);

/* Aborts all connections and frees the fleet. */
void fleet_destroy(struct fleet *fleet);

/* Lets the members [first, first + count) join; those that have joined already stay as they are. */
void fleet_join(struct fleet *fleet, uint32_t first, uint32_t count);

/* Ends a member's connection: with a close frame, or by a reset. The member does not come back before the next fleet_join. */
void fleet_leave(struct fleet *fleet, uint32_t member, bool reset);

void fleet_behave(struct fleet *fleet, uint32_t member, const struct fleet_behaviour *behaviour);

/* Performs one turn of I/O and all actions that are due; sleeps at most until `deadline_ns` (0: not at all). */
void fleet_turn(struct fleet *fleet, uint64_t deadline_ns);

const struct fleet_figures *fleet_figures_get(const struct fleet *fleet);

/* True while the member's connection is upgraded and not closing. */
bool fleet_is_open(const struct fleet *fleet, uint32_t member);

#endif
