/*
 * The client's side of a WebSocket connection (RFC 6455), sans-I/O: the upgrade, frames both ways, the close handshake. No function makes a
 * system call, reads a clock or allocates; keys and masks are made of the caller's random numbers. A client belongs to one thread.
 *
 *     connected:  ws_client_start, ws_client_write_request
 *     received:   ws_client_read_answer while the state is WS_CLIENT_UPGRADING, then ws_client_read
 *     to send:    ws_client_write_message, _control and _close
 */
#ifndef FLASHRELAY_WS_CLIENT_H
#define FLASHRELAY_WS_CLIENT_H

#include "flashrelay/http.h"
#include "flashrelay/ws.h"
#include "flashrelay/ws_uri.h"

#define WS_CLIENT_HEAD_BYTES HTTP_MAX_REQUEST_BYTES /* most bytes read of a server's answer, interim answers included */

/* What all clients of one server share. Never written to; must outlive them. */
struct ws_client_options {
    const struct ws_uri *uri;
    uint64_t max_message_bytes; /* longer ones end in WS_EVENT_ERROR 1009, at their header */
    /* Draws the next random number for keys and masks. Except in tests no other party may be able to foresee it (RFC 6455, 10.3). */
    uint64_t (*next_random)(void *context);
    void *context;
};

enum ws_client_state {
    WS_CLIENT_UPGRADING, /* the server's answer is not complete */
    WS_CLIENT_REFUSED,   /* the answer was no upgrade; nothing more is read or written */
    WS_CLIENT_OPEN,
    WS_CLIENT_CLOSING, /* our close frame is written; only the server's close frame or an error is reported now */
    WS_CLIENT_CLOSED,  /* the server's close frame or a protocol error was read; further bytes are taken without an event */
};

/* One per connection. Fixed size, nothing to dispose of. */
struct ws_client {
    const struct ws_client_options *options;
    uint8_t state; /* enum ws_client_state */
    bool close_written;
    union {
        struct {
            uint8_t key[16];
            uint8_t *head;              /* the caller's memory */
            uint16_t held_bytes;        /* of an unfinished head in `head` */
            uint16_t answer_bytes_left; /* of WS_CLIENT_HEAD_BYTES */
        } upgrade;
        struct ws_reader reader; /* from WS_CLIENT_OPEN on */
    };
};

/* --- the upgrade (RFC 6455, 4.1) --- */

/*
 * Prepares for a new connection and draws its key. `head`: WS_CLIENT_HEAD_BYTES of the caller's memory, used until the state is no longer
 * WS_CLIENT_UPGRADING, and touched only if the answer comes in pieces.
 */
void ws_client_start(struct ws_client *client, const struct ws_client_options *options, uint8_t *head);

/* Writes the request, which may contain secrets of the URI, and a terminator. The length without terminator, or -ENOSPC. */
long ws_client_write_request(const struct ws_client *client, char *out, size_t capacity);

struct ws_client_answer {
    int status;      /* HTTP status; 0 if the answer has none that can be read */
    char error[128]; /* why the answer is no upgrade, printable; empty if it is one */
};

/*
 * Takes bytes up to the end of the answer's head; returns how many. The first piece is parsed as it is; later pieces are only searched for the
 * head's end, and the head is parsed once that has come. The state afterwards: WS_CLIENT_UPGRADING, all bytes were taken; WS_CLIENT_OPEN, bytes
 * not taken belong to frames; WS_CLIENT_REFUSED, *answer says why, and bytes not taken belong to the server's explanation. Interim answers such
 * as 103 are skipped (RFC 9110, 15.2).
 */
size_t ws_client_read_answer(struct ws_client *client, const uint8_t *bytes, size_t length, struct ws_client_answer *answer);

/* --- frames --- */

/*
 * Takes bytes up to and including the next event, as ws_read does; returns how many. To be called until all are taken. The caller answers an
 * error, and a close frame that does not answer ours, with ws_client_write_close and the event's code.
 */
size_t ws_client_read(struct ws_client *client, uint8_t *bytes, size_t length, struct ws_event *event);

/* Writes a whole message, masked, to `frame` of WS_MAX_HEADER_BYTES + length. `opcode`: WS_TEXT or WS_BINARY. Returns the frame's length. */
size_t ws_client_write_message(const struct ws_client *client, uint8_t *frame, uint8_t opcode, const void *payload,
                               size_t length);

/* Writes a ping or pong of at most WS_MAX_CONTROL_BYTES. Returns the frame's length. */
size_t ws_client_write_control(const struct ws_client *client, uint8_t frame[WS_MAX_CONTROL_FRAME], uint8_t opcode,
                               const void *payload, size_t length);

/* Writes the close frame, once; `code` and `reason` as in ws_write_close. Returns the frame's length, 0 if it was written before. */
size_t ws_client_write_close(struct ws_client *client, uint8_t frame[WS_MAX_CONTROL_FRAME], uint16_t code, const char *reason);

#endif
