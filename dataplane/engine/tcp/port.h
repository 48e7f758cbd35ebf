/*
 * A port: one queue pair of a network card, or what takes its place (the tests' wire, a population of simulated clients). The TCP engine
 * receives and sends Ethernet frames through it, and knows nothing of the device behind it.
 *
 * A segment consists of a header, written by the engine into a buffer of the port, and of payload, which stays where it lies in the log.
 * The port reads the payload until it has sent the segment. Until then an *epoch* holds the payload's frame: all segments that are sent
 * between two calls of port_begin_epoch belong to one epoch, and the epoch is over when the port reads none of their payloads any more.
 *
 * A port belongs to one thread, except that any thread may call its `wake`.
 */
#ifndef DATAPLANE_ENGINE_TCP_PORT_H
#define DATAPLANE_ENGINE_TCP_PORT_H

#include "flashrelay/engine_tcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room in a header buffer: for the headers of a segment, and behind them for a control run of CONTROL_RUN_BYTES. */
#define PORT_HEADER_BYTES 384
/* Room in the buffer of a received packet, however short that is: for an answer in its place. */
#define PORT_PACKET_BYTES 1024
/* Most segments per call of `send`, and most packets per call of `receive`. */
#define PORT_BURST 64
/* Most epochs that are not over, and most segments of one epoch. */
#define PORT_EPOCHS         64
#define PORT_EPOCH_SEGMENTS 8192

/* A received Ethernet frame, lent to the engine until it calls `release`, or gives the packet back with `reflect`. */
struct port_packet {
    uint8_t *bytes;  /* from the Ethernet header on; the engine may change them, and all PORT_PACKET_BYTES */
    uint32_t length; /* of what is contiguous at `bytes`; frames that are not contiguous are dropped and counted by the port */
    bool ip_good;    /* the card has verified the checksum of the IPv4 header */
    bool tcp_good;   /* the card has verified the checksum of TCP */
    bool taken;      /* by `reflect`: the port has it back */
    void *buffer;    /* the port's own */
};

/* A packet to be sent: its header lies in a buffer of the port, its payload in the log. */
struct port_segment {
    uint8_t *header;        /* from `take_headers` */
    const uint8_t *payload; /* NULL: none, or it lies behind the headers in the header buffer */
    uint32_t payload_bytes;
    uint16_t header_bytes; /* of all headers, and of the payload behind them */
    uint16_t mss;          /* 0: one packet; else the card cuts the payload into segments of this size (TSO) */
    uint8_t link_bytes;    /* of the Ethernet header, with its VLAN tag */
    uint8_t ip_bytes, tcp_bytes;
    bool is_v6;
};

/* What the device can do; constant after the port is open. */
struct port_limits {
    uint8_t mac[6];
    uint16_t mtu;       /* bytes of an IP packet */
    uint32_t tso_bytes; /* most payload of a segment that the card cuts; 0: it cannot */
};

struct port;

struct port_ops {
    /*
     * Makes memory known to the device, so that payloads in it are sent by reference; payloads elsewhere are copied. Before the first
     * `send`.
     */
    void (*add_memory)(struct port *port, const void *base, size_t length);

    /* Lends the packets that have arrived, at most `capacity` (up to PORT_BURST). Returns how many there are. */
    unsigned (*receive)(struct port *port, struct port_packet *packets, unsigned capacity);
    /* Gives all packets of the last `receive` back that are not taken. */
    void (*release)(struct port *port, struct port_packet *packets, unsigned count);
    /* Sends the first `length` bytes of a received packet, which the engine has turned into an answer; sets packet->taken. */
    void (*reflect)(struct port *port, struct port_packet *packet, uint32_t length);

    /* Takes `count` header buffers, at most PORT_BURST. False if so many are not free: none is taken. */
    bool (*take_headers)(struct port *port, uint8_t **headers, unsigned count);
    /* Gives header buffers back that were not used. */
    void (*return_headers)(struct port *port, uint8_t **headers, unsigned count);
    /*
     * Sends segments, at most PORT_BURST, and takes their header buffers. All are accepted: what the ring does not take now goes into a
     * queue of the port, and what does not fit there is dropped and counted, as a network would.
     */
    void (*send)(struct port *port, const struct port_segment *segments, unsigned count);
    /* Tries again to send what is queued. True if nothing is queued: before that the engine serves no connection. */
    bool (*flush)(struct port *port);

    /*
     * Begins a new epoch, to which the segments belong that are sent from now on. Returns its number, one above that of the last; 0 if
     * PORT_EPOCHS are not over yet, and then the engine sends nothing by reference until one is.
     */
    uint64_t (*begin_epoch)(struct port *port);
    /*
     * Returns the number of the oldest epoch of whose segments one is not sent yet; if there is none, the number that the next epoch will
     * have.
     */
    uint64_t (*oldest_epoch)(struct port *port);
    /*
     * Makes the device let go of what it has sent, where it does that only when it needs room. `urgent`: the publisher waits for the frames,
     * so a packet may be sent to that end. Called 10 ms after the last send, as long as an epoch is not over.
     */
    void (*reclaim)(struct port *port, bool urgent);

    /* The time in ns. */
    uint64_t (*now)(struct port *port);
    /* Sleeps until packets arrive, `wake` is called or `deadline_ns` comes (CLOCK_NEVER: none), or shorter. */
    void (*wait)(struct port *port, uint64_t deadline_ns);
    /* Ends a `wait`, or the next one. Any thread. */
    void (*wake)(struct port *port);
    /* Stops sending and receiving: after this call the device reads no payload any more. The engine's last call. */
    void (*close)(struct port *port);
    /* Updates those counters that the device keeps. Called once per second. */
    void (*update_counters)(struct port *port);
};

/* The part that every port has; ports embed it first in their own. */
struct port {
    const struct port_ops *ops;
    struct port_limits limits;
    struct port_counters counters;
};

#endif
