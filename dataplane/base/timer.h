/* Timers of one constant duration: the timer that is started last ends last, so a queue keeps them in order in O(1). One thread. */
#ifndef DATAPLANE_BASE_TIMER_H
#define DATAPLANE_BASE_TIMER_H

#include "flashrelay/clock.h"
#include "flashrelay/list.h"

struct timer {
    struct list_node node;
    uint64_t deadline_ns;
};

struct timer_queue {
    struct list_node timers; /* the earliest deadline first */
    uint64_t duration_ns;    /* CLOCK_NEVER: the timers never end, the queue only keeps their order */
};

static inline void timer_queue_init(struct timer_queue *queue, uint64_t duration_ns)
{
    list_init(&queue->timers);
    queue->duration_ns = duration_ns;
}

static inline void timer_init(struct timer *timer)
{
    list_init(&timer->node);
}

static inline bool timer_is_running(const struct timer *timer)
{
    return !list_is_empty(&timer->node);
}

static inline void timer_stop(struct timer *timer)
{
    list_remove(&timer->node);
}

/* Starts the timer, or starts it again, whatever queue it was in. */
static inline void timer_start(struct timer_queue *queue, struct timer *timer, uint64_t now_ns)
{
    list_remove(&timer->node);
    timer->deadline_ns = queue->duration_ns < CLOCK_NEVER - now_ns ? now_ns + queue->duration_ns : CLOCK_NEVER;
    list_append(&queue->timers, &timer->node);
}

/* When the earliest timer ends; CLOCK_NEVER if none runs. */
static inline uint64_t timer_queue_deadline(const struct timer_queue *queue)
{
    if (list_is_empty(&queue->timers))
        return CLOCK_NEVER;
    return LIST_ENTRY(queue->timers.next, struct timer, node)->deadline_ns;
}

/* Stops the earliest timer and returns it if it has ended; else NULL. */
static inline struct timer *timer_queue_take_ended(struct timer_queue *queue, uint64_t now_ns)
{
    struct timer *timer;

    if (timer_queue_deadline(queue) > now_ns)
        return NULL;
    timer = LIST_ENTRY(queue->timers.next, struct timer, node);
    timer_stop(timer);
    return timer;
}

#endif
