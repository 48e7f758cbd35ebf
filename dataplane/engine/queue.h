/* First-in-first-out queues of connections. A connection has one node for each queue that it may be in; nothing is allocated. */
#ifndef DATAPLANE_ENGINE_QUEUE_H
#define DATAPLANE_ENGINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue_node {
    struct queue_node *next;
};

/* A zeroed queue is empty. */
struct queue {
    struct queue_node *first, *last;
};

/* The connection of type `type` whose member `member` is `node`. */
#define QUEUE_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline bool queue_is_empty(const struct queue *queue)
{
    return !queue->first;
}

/* Puts a node that is in no queue at the end. */
static inline void queue_append(struct queue *queue, struct queue_node *node)
{
    node->next = NULL;
    if (queue->first)
        queue->last->next = node;
    else
        queue->first = node;
    queue->last = node;
}

/* Takes out the oldest node and returns it; NULL if the queue is empty. */
static inline struct queue_node *queue_take(struct queue *queue)
{
    struct queue_node *node = queue->first;

    if (node)
        queue->first = node->next;
    return node;
}

#endif
