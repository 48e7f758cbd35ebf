/*
 * A wire between two ends, as a data structure: frames go in at a time, and come out at another one, late, twice, in another order, damaged
 * or never. All is drawn from a seed, so that a run can be repeated. It reads no clock; the times that it is given must not go backwards.
 * One thread.
 */
#ifndef TOOLS_COMMON_WIRE_H
#define TOOLS_COMMON_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From the first end to the second, or back. */
enum wire_direction { WIRE_FORTH, WIRE_BACK };

/* What happens to frames of one direction. All zero: they arrive at once and unharmed. */
struct wire_settings {
    uint64_t delay_ns;  /* of each frame */
    uint64_t jitter_ns; /* up to so much more, but frames stay in order */
    double loss;        /* probability that a frame is lost */
    double reorder;     /* probability that a frame is held back by up to `reorder_ns`, and those after it are not */
    uint64_t reorder_ns;
    double duplicate;      /* probability that a frame comes twice */
    double corrupt;        /* probability that a bit of an IP packet is flipped where a checksum tells */
    uint64_t rate_bits;    /* per second, of the bottleneck; 0: none */
    uint64_t queue_bytes;  /* room before the bottleneck; what does not fit is dropped */
    uint32_t mtu;          /* bytes of an IP packet; 0: any. Packets beyond are dropped and answered: ICMP 3/4, ICMPv6 2 */
    bool is_silent_on_mtu; /* they are not answered */
};

struct wire_counters {
    uint64_t pushed, delivered;
    uint64_t lost, reordered, duplicated, corrupted, queue_drops, too_big, too_big_answers;
    uint64_t filtered; /* dropped by the filter */
    uint64_t overruns; /* dropped because the wire holds `memory_bytes` */
};

struct wire_options {
    struct wire_settings directions[2];
    uint64_t seed;
    size_t memory_bytes; /* most bytes on their way; 0: 64 MiB */
};

/* True for a frame that is to be dropped. */
typedef bool wire_filter(void *context, enum wire_direction direction, const uint8_t *bytes, size_t length);

struct wire;

/* 0, or -ENOMEM. wire_destroy frees it (NULL is allowed). */
int wire_create(struct wire **out, const struct wire_options *options);
void wire_destroy(struct wire *wire);

/* Changes what happens to frames that go in from now on. */
void wire_set(struct wire *wire, enum wire_direction direction, const struct wire_settings *settings);
/* Sets the filter that frames pass when they go in; NULL: none. */
void wire_set_filter(struct wire *wire, wire_filter *filter, void *context);

/* Takes a copy of a frame of at most WIRE_LONGEST_BYTES that travels in `direction`. */
void wire_push(struct wire *wire, enum wire_direction direction, const uint8_t *bytes, size_t length, uint64_t now_ns);

/* When the next frame arrives: at either end, or at that of `direction`. CLOCK_NEVER if none is on its way. */
uint64_t wire_next_ns(const struct wire *wire);
uint64_t wire_next_in_ns(const struct wire *wire, enum wire_direction direction);

/* Takes the next frame that has arrived by `now_ns`: copies it to `bytes`, which has room for it, and returns its length. 0: none. */
size_t wire_take(struct wire *wire, enum wire_direction direction, uint64_t now_ns, uint8_t *bytes);

const struct wire_counters *wire_counters(const struct wire *wire, enum wire_direction direction);

#endif
