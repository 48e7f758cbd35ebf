/*
 * Admission: the data plane asks the control thread whether a connection may take a place. Requests are nodes inside their subscribers, so
 * nothing is allocated and no request can be lost. They go to the control thread through one lock-free list and return to their shard
 * through another. ENTER returns with a verdict, LEAVE once the place is given back; until then the subscriber's slot is kept.
 */
#ifndef FLASHRELAY_ADMISSION_H
#define FLASHRELAY_ADMISSION_H

#include "flashrelay/address.h"
#include "flashrelay/waker.h"

#include <stdatomic.h>

#define ADMISSION_NO_APP UINT16_MAX

enum admission_kind { ADMISSION_ENTER, ADMISSION_LEAVE };
enum admission_verdict { ADMISSION_ADMITTED, ADMISSION_REFUSED_INSTANCE, ADMISSION_REFUSED_IP, ADMISSION_REFUSED_APP };

struct admission_request {
    struct admission_request *next; /* used by the queue that holds the request */
    struct ip_address ip;
    uint16_t app;    /* number of the app in the access table, or ADMISSION_NO_APP */
    uint16_t shard;  /* index of the shard to which the request returns */
    uint8_t kind;    /* enum admission_kind */
    uint8_t verdict; /* enum admission_verdict, set by the control thread */
};

/* A queue with many producers and one consumer: a list of requests, linked from the newest to the oldest. */
struct admission_queue {
    _Alignas(64) struct admission_request *_Atomic newest;
};

/* Prepares an empty queue, before other threads use it. */
void admission_queue_init(struct admission_queue *queue);

/* Adds a request, which must stay in place until the consumer has taken it. Any thread; the caller then wakes the consumer. */
void admission_queue_push(struct admission_queue *queue, struct admission_request *request);

/* Takes all requests, the oldest first, linked by `next`; NULL if the queue is empty. The consumer's thread. */
struct admission_request *admission_queue_take(struct admission_queue *queue);

/* True if nothing is queued. Any thread. */
bool admission_queue_is_empty(const struct admission_queue *queue);

/* The two directions between the shards of one relay and its control thread. */
struct admission {
    struct admission_queue requests; /* shards -> control */
    struct admission_queue *answers; /* control -> shard, one per shard */
    struct waker **shard_wakers;     /* one per shard */
    unsigned shards;
    int control_event; /* eventfd that is written to for new requests, or -1 (simulation: the queue is polled) */
};

/* Shard thread: sends a request to the control thread and wakes that thread. The request belongs to control until it returns. */
void admission_ask(struct admission *admission, struct admission_request *request);

/* Control thread: returns a request to its shard and wakes the shard. */
void admission_answer(struct admission *admission, struct admission_request *request);

#endif
