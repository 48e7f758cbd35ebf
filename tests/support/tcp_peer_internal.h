/* What the parts of the test's TCP client share. */
#ifndef TESTS_SUPPORT_TCP_PEER_INTERNAL_H
#define TESTS_SUPPORT_TCP_PEER_INTERNAL_H

#include "common/wire_packet.h"
#include "support/tcp_peer.h"

#define TCP_PEER_RANGES 64

/* Bytes that arrived before those ahead of them: [left, right). */
struct tcp_peer_range {
    uint32_t left, right;
    uint64_t touched; /* order of arrival: the latest is reported first (RFC 2018, 4) */
};

struct tcp_peer_receiver {
    uint8_t *buffer;        /* see tcp_peer_place */
    uint32_t initial, next; /* sequence numbers */
    uint32_t highest;       /* after the last byte that arrived */
    uint32_t window;        /* what we would offer */
    uint32_t edge;          /* what is offered now ends here */
    uint32_t widest_edge;   /* the furthest that was ever offered */
    bool has_fin;
    uint32_t fin;                                  /* its sequence number */
    struct tcp_peer_range ranges[TCP_PEER_RANGES]; /* in order of sequence */
    unsigned range_count;
    uint64_t touches;
    struct wire_packet_sack duplicate; /* to be reported in the next ACK (RFC 2883); left == right: none */
    unsigned unacknowledged;           /* segments */
    uint64_t ack_ns;                   /* the delayed ACK is due; CLOCK_NEVER: none */
};

struct tcp_peer_sender {
    uint8_t *buffer;                  /* the byte of sequence number s at s % TCP_PEER_SEND_BYTES */
    uint32_t initial, una, next, end; /* sequence numbers; `end` is behind what was written */
    uint32_t highest;                 /* behind all that was ever sent */
    uint32_t window, window_sequence, window_acknowledgement;
    uint32_t other_edge; /* the furthest that the other side ever offered */
    unsigned scale, mss;
    bool finishes; /* FIN has the sequence number `end` */
    uint64_t timeout_ns, retransmit_ns;
};

struct tcp_peer {
    struct tcp_peer_options options;
    struct tcp_peer_status status;
    struct tcp_peer_receiver receiver;
    struct tcp_peer_sender sender;
    bool is_silent; /* vanished or reset */
    bool was_opened;
};

/* a - b, of sequence numbers. */
static inline int32_t tcp_peer_distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Where in the receive buffer the byte with a sequence number has its place. */
static inline uint32_t tcp_peer_place(const struct tcp_peer *peer, uint32_t sequence)
{
    return (sequence - peer->receiver.initial) % peer->options.buffer_bytes;
}

/* Counts a violation, and keeps the first. */
void tcp_peer_violation(struct tcp_peer *peer, const char *what);
/* Judges what a packet of an open connection has in its fields. */
void tcp_peer_judge(struct tcp_peer *peer, const struct wire_packet *packet);
/* Judges the SYN-ACK. */
void tcp_peer_judge_open(struct tcp_peer *peer, const struct wire_packet *packet);

/* Takes the payload and FIN of a packet; acknowledges at once or later. */
void tcp_peer_receive(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns);
/* Fills in the SACK option. */
void tcp_peer_report_ranges(struct tcp_peer *peer, struct wire_packet_options *options);

/* Sends a segment from `sequence` with `payload_bytes` of what was written. Acknowledges, except in a SYN. */
void tcp_peer_send_segment(struct tcp_peer *peer, uint8_t flags, uint32_t sequence, uint32_t payload_bytes);
/* Sends an ACK without data. */
void tcp_peer_send_ack(struct tcp_peer *peer);
/* Sends what is written and the window allows. */
void tcp_peer_send_more(struct tcp_peer *peer, uint64_t now_ns);
/* Takes acknowledgement and window of a packet. */
void tcp_peer_acknowledged(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns);
/* Retransmits, or probes a closed window. */
void tcp_peer_time_out(struct tcp_peer *peer, uint64_t now_ns);

#endif
