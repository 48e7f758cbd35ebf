/*
 * A small TCP client against which the TCP engine is tested: sans-I/O, in virtual time, and without any code of the engine. It judges every
 * packet that it receives: what a TCP must not send is a violation. One thread.
 */
#ifndef TESTS_SUPPORT_TCP_PEER_H
#define TESTS_SUPPORT_TCP_PEER_H

#include "flashrelay/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for bytes that are written and not acknowledged. */
#define TCP_PEER_SEND_BYTES (1 << 16)

struct tcp_peer_options {
    struct address local, remote; /* of the same family */
    uint8_t local_mac[6], remote_mac[6];
    uint16_t vlan;
    uint16_t mss; /* offered; 0: no option */
    int scale;    /* offered; negative: no option */
    bool permits_sack, sends_dsack, offers_timestamps;
    uint32_t buffer_bytes; /* receive buffer, and the window at first */
    unsigned ack_every;    /* acknowledges every so many segments (stretch ACKs, as with GRO: 44), */
    uint64_t ack_delay_ns; /* or after this time; 1 and 0: each segment */
    uint32_t initial_sequence;
    /* Sends a frame, which is lent. */
    void (*send)(void *context, const uint8_t *bytes, size_t length);
    /* The next bytes of the stream, in order. */
    void (*on_bytes)(void *context, const uint8_t *bytes, size_t length);
    void *context;
};

/* What became of the connection, and what was counted. */
struct tcp_peer_status {
    bool is_connected;                 /* the handshake was completed */
    bool is_reset;                     /* by the other side, or refused */
    bool has_finished;                 /* our FIN was acknowledged */
    bool other_has_finished;           /* its FIN arrived, and all before it */
    uint32_t segment_bytes;            /* longest payload that arrived in one segment */
    uint64_t received_bytes;           /* of the stream */
    uint64_t acknowledged_bytes;       /* of ours */
    uint64_t packets, duplicate_bytes; /* that arrived */
    uint64_t acks, retransmissions;    /* of ours: packets without data, and timeouts */
    uint64_t corrupt;                  /* packets with a wrong checksum */
    uint64_t windows_taken_back;       /* right edges that moved to the left */
    uint64_t violations;
    const char *violation; /* the first one; NULL: none */
};

struct tcp_peer;

/* 0 or -ENOMEM. tcp_peer_destroy frees it (NULL is allowed). */
int tcp_peer_create(struct tcp_peer **out, const struct tcp_peer_options *options);
void tcp_peer_destroy(struct tcp_peer *peer);

/* Sends the SYN. Once. */
void tcp_peer_connect(struct tcp_peer *peer, uint64_t now_ns);

/* Takes a received frame. False if it is for somebody else, or no TCP. */
bool tcp_peer_input(struct tcp_peer *peer, const uint8_t *bytes, size_t length, uint64_t now_ns);
/* When tcp_peer_tick is due; CLOCK_NEVER: not. */
uint64_t tcp_peer_next_ns(const struct tcp_peer *peer);
/* Does what is due: retransmits, probes, acknowledges. */
void tcp_peer_tick(struct tcp_peer *peer, uint64_t now_ns);

/* Appends to what is sent; before the handshake is complete it waits. Returns how many bytes there was room for. */
size_t tcp_peer_write(struct tcp_peer *peer, const void *bytes, size_t length, uint64_t now_ns);
/* Sends FIN after what was written, and goes on receiving. */
void tcp_peer_finish(struct tcp_peer *peer, uint64_t now_ns);
/* Sends RST, and answers nothing any more. */
void tcp_peer_reset(struct tcp_peer *peer);
/* Answers nothing any more. */
void tcp_peer_vanish(struct tcp_peer *peer);

/*
 * Sets the window, at most the receive buffer. What was offered before stays allowed, so that a smaller window comes as bytes arrive, unless
 * `takes_back`: then the right edge moves to the left (RFC 9293, 3.8.6, discourages it, but peers do it). A window that opens is announced.
 */
void tcp_peer_set_window(struct tcp_peer *peer, uint32_t window_bytes, bool takes_back);

const struct tcp_peer_status *tcp_peer_status(const struct tcp_peer *peer);

#endif
