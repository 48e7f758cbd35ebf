/*
 * WebSocket framing (RFC 6455), sans-I/O, both roles. No function makes a system call, reads a clock or allocates. Any thread may call these
 * functions; a reader or UTF-8 state belongs to one thread at a time.
 */
#ifndef FLASHRELAY_WS_H
#define FLASHRELAY_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 6455, 5.2 */
enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* RFC 6455, 7.4.1 */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_NO_STATUS = 1005, /* never sent: the close frame had no code */
    WS_CLOSE_INVALID_PAYLOAD = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL_ERROR = 1011,
    WS_CLOSE_TRY_AGAIN_LATER = 1013,
};

enum ws_role { WS_SERVER, WS_CLIENT }; /* our own role: a server expects masked frames, a client unmasked ones */

#define WS_MAX_HEADER_BYTES  14
#define WS_MAX_CONTROL_BYTES 125                        /* payload of a control frame, RFC 6455 5.5 */
#define WS_MAX_CONTROL_FRAME (6 + WS_MAX_CONTROL_BYTES) /* with a masked header */

/* --- writing --- */

/* Writes a frame header with FIN for `payload_length` bytes; `mask` is NULL (server) or 4 bytes (client). Returns its length. */
size_t ws_write_header(uint8_t header[WS_MAX_HEADER_BYTES], uint8_t opcode, uint64_t payload_length, const uint8_t *mask);

/* Writes a whole control frame of at most 125 payload bytes; `mask` as above. Returns its length. */
size_t ws_write_control(uint8_t frame[WS_MAX_CONTROL_FRAME], uint8_t opcode, const void *payload, size_t length,
                        const uint8_t *mask);

/*
 * Writes a close frame with `code` and `reason` (NULL: none; cut between characters to at most 123 bytes); with WS_CLOSE_NO_STATUS an empty
 * one. `mask` as above. Returns its length.
 */
size_t ws_write_close(uint8_t frame[WS_MAX_CONTROL_FRAME], uint16_t code, const char *reason, const uint8_t *mask);

/* XORs `bytes` with the mask, whose byte for bytes[0] is mask[phase & 3] (RFC 6455, 5.3). Fast for any alignment. */
void ws_mask(uint8_t *bytes, size_t length, const uint8_t mask[4], size_t phase);

/* True if a peer may send `code` in a close frame (RFC 6455 7.4.2 and the IANA registry). */
bool ws_close_code_is_valid(uint16_t code);

/* --- UTF-8 (RFC 3629), incremental --- */

struct ws_utf8 {
    uint32_t state; /* 0: between two characters, and at the beginning */
};

/* Checks the next bytes of a text; false as soon as they can't be UTF-8. The text is complete only if `state` is 0 at its end. */
bool ws_utf8_feed(struct ws_utf8 *utf8, const uint8_t *bytes, size_t length);

/* --- reading --- */

enum ws_event_kind {
    WS_EVENT_NONE, /* all bytes consumed, more needed */
    WS_EVENT_DATA, /* a piece of a message, unmasked: bytes, length; opcode of the message; last: it ends here (length may be 0) */
    WS_EVENT_PING,  /* bytes, length: to be sent back in a pong */
    WS_EVENT_PONG,  /* bytes, length */
    WS_EVENT_CLOSE, /* code (WS_CLOSE_NO_STATUS if none), bytes and length of the reason */
    WS_EVENT_ERROR, /* code to close with, reason */
};

struct ws_event {
    enum ws_event_kind kind;
    uint8_t opcode;
    bool last;
    uint16_t code;
    const uint8_t *bytes; /* lent: in the caller's buffer or the reader's, until the next ws_read */
    size_t length;
    const char *reason; /* of an error: static text */
};

/* Reads one peer's frames. Fixed size, no pointers to free. */
struct ws_reader {
    uint64_t frame_left;    /* payload bytes of the current frame still to come */
    uint64_t message_bytes; /* of the current message, up to the end of the current frame */
    uint64_t max_message_bytes;
    struct ws_utf8 utf8;
    uint8_t mask[4];
    uint8_t mask_phase;
    uint8_t role; /* enum ws_role */
    uint8_t state;
    uint8_t extended_length_bytes;        /* 2 or 8: size of the length field that is being read */
    uint8_t frame_opcode, message_opcode; /* message_opcode 0: between messages */
    bool frame_fin;
    uint8_t held_length;
    uint8_t held[WS_MAX_CONTROL_BYTES]; /* the bytes so far of a header field, or of a control frame's payload */
};

/* Prepares for the first frame after the handshake. Messages above `max_message_bytes` end in WS_EVENT_ERROR 1009, at their header. */
void ws_reader_init(struct ws_reader *reader, enum ws_role role, uint64_t max_message_bytes);

/*
 * Takes bytes up to and including the next event; returns how many (bytes may be unmasked in place). To be called until all are taken.
 * After a close or an error all further bytes are taken without an event.
 */
size_t ws_read(struct ws_reader *reader, uint8_t *bytes, size_t length, struct ws_event *event);

/* True between messages, with nothing of the next frame read: a newly initialized reader could take this one's place. */
bool ws_reader_is_idle(const struct ws_reader *reader);

#endif
