/* Frames on their way, in the order in which they arrive. One thread. */
#ifndef TOOLS_COMMON_WIRE_QUEUE_H
#define TOOLS_COMMON_WIRE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct wire_frame {
    uint64_t due_ns;
    uint64_t number; /* orders frames that are due at the same time */
    size_t length;
    uint8_t bytes[];
};

/* A binary heap. All zero: empty. */
struct wire_queue {
    struct wire_frame **frames;
    size_t count, capacity;
};

/* Frees all frames. */
void wire_queue_dispose(struct wire_queue *queue);

/* Adds a frame, which the queue then owns. 0 or -ENOMEM. */
int wire_queue_add(struct wire_queue *queue, struct wire_frame *frame);
/* The frame that arrives first; NULL if there is none. */
struct wire_frame *wire_queue_first(const struct wire_queue *queue);
/* Takes that frame out; the caller frees it. */
struct wire_frame *wire_queue_take(struct wire_queue *queue);

#endif
