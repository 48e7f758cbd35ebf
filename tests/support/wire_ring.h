/*
 * The transmit ring of a modelled card, with the queue of its port behind it, and the epochs that its segments belong to. One thread.
 */
#ifndef TESTS_SUPPORT_WIRE_RING_H
#define TESTS_SUPPORT_WIRE_RING_H

#include "engine/tcp/port.h"
#include "flashrelay/random.h"

struct wire_ring_options {
    uint32_t ring_segments, queue_segments;
    uint64_t stay_minimum_ns, stay_maximum_ns;
    bool frees_late;
};

/* A segment that the card, or the queue behind its ring, has. */
struct wire_ring_segment {
    struct port_segment segment;
    uint64_t epoch; /* 0: it refers to no payload outside of its header buffer */
    uint64_t leaves_ns;
    bool is_copy; /* the payload is a copy, which the ring frees */
};

struct wire_ring {
    struct wire_ring_options options;
    struct wire_ring_segment *segments; /* a circle: sent, in the ring, in the queue */
    uint32_t first, sent, ringed, queued;
    uint64_t busy_until_ns;               /* when the last segment of the ring leaves */
    uint64_t epoch;                       /* number of the last begun; 0: none */
    bool epoch_open;                      /* begin_epoch has not failed since */
    uint32_t epoch_segments[PORT_EPOCHS]; /* not let go of, by number modulo PORT_EPOCHS */
    uint32_t epoch_sent;                  /* all segments of the last epoch */
    struct random random;
    void (*on_packet)(void *context, const uint8_t *bytes, size_t length, uint64_t now_ns);
    void (*on_freed)(void *context, uint8_t *header);
    void *context;
};

/* `on_packet` gets what is sent, `on_freed` the header buffers that are let go of; both are set by the caller. 0 or -ENOMEM. */
int wire_ring_init(struct wire_ring *ring, const struct wire_ring_options *options, uint64_t seed);
void wire_ring_dispose(struct wire_ring *ring);

/* Lets go of all segments, sent or not. */
void wire_ring_clear(struct wire_ring *ring);

/* Adds a segment. False, and nothing happens, if neither ring nor queue has room. */
bool wire_ring_add(struct wire_ring *ring, const struct port_segment *segment, bool is_copy, uint64_t now_ns);
/* Sends what leaves by `now_ns`, and fills the ring from the queue. */
void wire_ring_advance(struct wire_ring *ring, uint64_t now_ns);
/* Lets go of all that was sent. */
void wire_ring_reclaim(struct wire_ring *ring);
/* When the next segment leaves; CLOCK_NEVER if none does. */
uint64_t wire_ring_next_ns(const struct wire_ring *ring);

/* As the port's functions of the same names. */
uint64_t wire_ring_begin_epoch(struct wire_ring *ring);
uint64_t wire_ring_oldest_epoch(const struct wire_ring *ring);

#endif
