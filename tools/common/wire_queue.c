#include "common/wire_queue.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

void wire_queue_dispose(struct wire_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        free(queue->frames[i]);
    free(queue->frames);
    *queue = (struct wire_queue){0};
}

static bool is_before(const struct wire_frame *a, const struct wire_frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void swap(struct wire_queue *queue, size_t i, size_t j)
{
    struct wire_frame *frame = queue->frames[i];

    queue->frames[i] = queue->frames[j];
    queue->frames[j] = frame;
}

int wire_queue_add(struct wire_queue *queue, struct wire_frame *frame)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity > 0 ? 2 * queue->capacity : 64;
        struct wire_frame **grown = realloc(queue->frames, capacity * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        queue->frames = grown;
        queue->capacity = capacity;
    }
    queue->frames[queue->count] = frame;
    for (size_t i = queue->count++; i > 0 && is_before(queue->frames[i], queue->frames[(i - 1) / 2]); i = (i - 1) / 2)
        swap(queue, i, (i - 1) / 2);
    return 0;
}

struct wire_frame *wire_queue_first(const struct wire_queue *queue)
{
    return queue->count > 0 ? queue->frames[0] : NULL;
}

struct wire_frame *wire_queue_take(struct wire_queue *queue)
{
    struct wire_frame *frame = queue->frames[0];
    size_t i = 0;

    queue->frames[0] = queue->frames[--queue->count];
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < queue->count; child++)
            if (is_before(queue->frames[child], queue->frames[least]))
                least = child;
        if (least == i)
            return frame;
        swap(queue, i, least);
        i = least;
    }
}
