/*
 * Segments on their way to the port: headers are copied from a template that is made once per connection and service, and handed over in
 * batches.
 */
#ifndef DATAPLANE_ENGINE_TCP_OUTPUT_H
#define DATAPLANE_ENGINE_TCP_OUTPUT_H

#include "engine/tcp/port.h"

/* Longest headers: Ethernet with a VLAN tag, IPv6, TCP with the options of an answer to a SYN. */
#define OUTPUT_HEADER_BYTES 96
/* Payload of at most so many bytes is copied behind its headers: then the card reads it with them, and short frames can be padded. */
#define OUTPUT_COPIED_BYTES 64

/* The headers that all segments of one connection have in common in one service. */
struct output_template {
    uint8_t bytes[OUTPUT_HEADER_BYTES];
    uint64_t ip_sum;        /* over the IPv4 header without its length */
    uint64_t tcp_sum;       /* over pseudo header and TCP header, without length, sequence number, flags and payload */
    uint32_t payload_bytes; /* for which `bytes` and length_sum have the length; UINT32_MAX: for none */
    uint16_t length_sum;    /* tcp_sum with the length, folded */
    uint8_t link_bytes, ip_bytes, header_bytes;
    bool is_v6;
};

struct output {
    struct output_template *bases; /* by number of the own address: what is common to all connections */
    struct port_segment segments[PORT_BURST];
    uint8_t *headers[PORT_BURST]; /* taken from the port, not used yet */
    unsigned segment_count, header_count;
};

struct tcp_engine;
struct tcp_connection;

/* What one segment is besides its template. */
struct output_segment {
    uint32_t sequence;
    uint8_t flags;
    const uint8_t *payload; /* in the log; or NULL: `length` bytes of `copied` are copied behind the headers */
    const uint8_t *copied;
    uint32_t length;
    uint16_t payload_sum; /* folded; not for a segment that the card cuts */
    uint16_t mss;         /* 0, or the size of the segments into which the card cuts it */
};

/* Makes the templates of own addresses, once the port that is listened on is known. 0 or -ENOMEM. */
int output_init(struct tcp_engine *engine);

/* Makes the template. It acknowledges what was received so far, and notes that in the connection with the first segment sent. */
void output_prepare(struct tcp_engine *engine, struct tcp_connection *connection, struct output_template *template);

/* As output_has_room, where that is not the case yet: sends what is waiting, and takes header buffers. */
bool output_make_room(struct tcp_engine *engine, unsigned segments);

/*
 * Holds frame `sequence` of a channel for segments that are sent next with payload of that frame: until the port has sent them. False if no
 * epoch is free.
 */
bool output_hold(struct tcp_engine *engine, uint16_t channel, uint64_t sequence, unsigned segments);

/* Hands over what is waiting to the port. */
void output_flush(struct tcp_engine *engine);

/* Gives back the header buffers that are not used, and frees the templates. */
void output_dispose(struct tcp_engine *engine);

/* Sends a segment without payload: an acknowledgement, a window probe, a reset. False if there are no header buffers. */
bool output_bare(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t sequence, uint8_t flags);

#endif
