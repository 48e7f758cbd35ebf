/*
 * The TCP engine on a wire without delay, in virtual time, with a handler that notes what it is called with; and the peers' side of the wire
 * as raw frames. One thread.
 */
#ifndef TESTS_TCP_SCRIPT_STAGE_H
#define TESTS_TCP_SCRIPT_STAGE_H

#include "common/wire_packet.h"
#include "flashrelay/engine.h"
#include "tcp_script/script.h"

#define STAGE_PORT         80
#define STAGE_PEER_PORT    40000
#define STAGE_STREAM_BYTES (1 << 20)

/* A connection of one of the peer's ports, as both sides see it. */
struct stage_peer {
    struct connection *connection; /* NULL: none */
    bool is_open;
    uint32_t initial, engine_initial; /* sequence numbers of both SYNs */
    uint8_t *stream;                  /* what the engine must send */
    size_t stream_bytes;
    uint64_t received_bytes;
    uint64_t consume; /* bytes that the handler is still to consume */
};

/* What the engine did. */
struct stage_event {
    uint64_t at_ns;
    enum script_kind kind; /* STEP_OUT, STEP_ICMP_OUT, STEP_ACCEPTED, STEP_RECEIVED, STEP_RECEIVED_END, STEP_CLOSED */
    unsigned peer;
    uint64_t number;
    const char *error; /* a frame is badly built */
    struct wire_packet packet;
    uint8_t *frame; /* what packet.payload points into */
};

#define STAGE_EVENTS 4096

struct stage {
    uint64_t now_ns;
    struct script_settings settings;
    struct wire *wire;
    struct wire_port *port;
    struct host *host;
    struct engine *engine;
    struct channel *channel;
    struct channel_marks marks;
    struct holds holds;
    int channel_number;
    uint64_t published; /* sequence number of the last frame */
    struct stage_peer peers[SCRIPT_PEERS];
    struct stage_event events[STAGE_EVENTS]; /* not expected yet, in order */
    unsigned event_count;
};

/* A fresh engine that listens. Aborts on failure. */
struct stage *stage_open(const struct script_settings *settings);
void stage_close(struct stage *stage);

/* Lets time pass until `until_ns`, or until the engine has done something. */
void stage_run(struct stage *stage, uint64_t until_ns);
/* Removes an event, and frees its frame. */
void stage_forget(struct stage *stage, unsigned index);

/* Gives the engine a frame, now. */
void stage_push(struct stage *stage, const uint8_t *bytes, size_t length);
/* A segment with addresses and sequence numbers of the connection of `peer`, or in the other direction; the payload lies in `payload`. */
struct wire_packet stage_packet(const struct stage *stage, unsigned peer, const struct script_segment *segment, uint8_t *payload);
struct wire_packet stage_packet_back(const struct stage *stage, unsigned peer, uint32_t sequence, uint8_t *payload);

/* Offers a frame of `length` bytes with its header, or control bytes. False if there is no connection, or no such frame. */
bool stage_publish(struct stage *stage, unsigned peer, size_t length);
bool stage_control(struct stage *stage, unsigned peer, size_t length);

/* The byte at an offset of what a peer sends. */
uint8_t stage_pattern(uint64_t offset);

#endif
