/*
 * A port (engine/tcp/port.h) at one end of a test wire, in virtual time. It models a card: a segment stays in the transmit ring for a random
 * time, in which its payload is only pointed to; when it leaves the ring, header and payload are read and the packet goes into the wire.
 * Misuse of the port ends the program by an assertion. One thread.
 */
#ifndef TESTS_SUPPORT_WIRE_PORT_H
#define TESTS_SUPPORT_WIRE_PORT_H

#include "common/wire.h"
#include "engine/tcp/port.h"

struct wire_port_options {
    struct wire *wire;
    enum wire_direction sends; /* the direction in which the port sends; it receives from the other one */
    const uint64_t *clock_ns;  /* the virtual time */
    uint8_t mac[6];
    uint16_t mtu;                              /* 0: 1500 */
    uint32_t tso_bytes;                        /* 0: no TSO */
    bool has_verdicts;                         /* checksums of received packets are verified by the card */
    bool frees_late;                           /* what was sent is let go of only when the ring needs room, or by `reclaim` */
    bool cannot_reclaim;                       /* `reclaim` does nothing unless it is urgent */
    uint32_t ring_segments;                    /* 0: 1,024 */
    uint32_t queue_segments;                   /* of the queue behind the ring; 0: 8,192 */
    uint32_t header_buffers;                   /* 0: as many as ring and queue together take */
    uint32_t receive_buffers;                  /* 0: 1,024 */
    uint64_t stay_minimum_ns, stay_maximum_ns; /* how long a segment is at the head of the ring */
    double header_shortage;                    /* probability that take_headers fails, though there are buffers */
    uint64_t seed;
};

struct wire_port;

/* 0 or -ENOMEM. wire_port_destroy (NULL is allowed) asserts that no header buffer and no lent packet is missing. */
int wire_port_create(struct wire_port **out, const struct wire_port_options *options);
void wire_port_destroy(struct wire_port *port);

struct port *wire_port_of(struct wire_port *port);

/* Sends what leaves the ring by the present time, and takes what has arrived into receive buffers. The port's functions do so, too. */
void wire_port_advance(struct wire_port *port);
/* When a segment leaves the ring or a packet arrives; the present time if packets wait to be received. CLOCK_NEVER: nothing is under way. */
uint64_t wire_port_next_ns(const struct wire_port *port);

/*
 * The deadline of the last `wait`, since the last call of this function; 0 if there was none, because the engine wants another turn at once.
 * `wait` itself returns immediately. A `wake` makes it the present time.
 */
uint64_t wire_port_take_deadline_ns(struct wire_port *port);

/* Header buffers and segments that the engine or the ring have: 0 once all is over. */
uint32_t wire_port_headers_used(const struct wire_port *port);
uint32_t wire_port_segments_held(const struct wire_port *port);

#endif
