/*
 * The one question that the data plane asks upwards: may this connection take a place? Requests are nodes inside their subscribers, so
 * nothing is allocated and nothing can be lost; they go to the control thread through one lock-free list and come back to their shard
 * through another. Both ENTER (answered with a verdict) and LEAVE (gives the place back) return; until then the subscriber's slot stays.
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
    struct admission_request *next; /* the queue's */
    struct ip_address ip;
    uint16_t app;    /* its number in the access table, or ADMISSION_NO_APP */
    uint16_t shard;  /* whose return queue it goes back to */
    uint8_t kind;    /* enum admission_kind */
    uint8_t verdict; /* enum admission_verdict, set by the control thread */
};

/* Many producers, one consumer. */
struct admission_queue {
    _Alignas(64) struct admission_request *_Atomic newest;
};

void admission_queue_init(struct admission_queue *queue);

/* Adds a request; any thread. The caller then wakes the consumer. */
void admission_queue_push(struct admission_queue *queue, struct admission_request *request);

/* Takes everything, oldest first, linked by `next`; NULL if empty. The consumer's thread. */
struct admission_request *admission_queue_take(struct admission_queue *queue);

/* True if nothing is queued. Any thread. */
bool admission_queue_is_empty(const struct admission_queue *queue);

/* The two directions between the shards of one relay and its control thread. */
struct admission {
    struct admission_queue requests; /* shards -> control */
    struct admission_queue *answers; /* control -> shard, one each */
    struct waker **shard_wakers;     /* one each */
    unsigned shards;
    int control_event; /* eventfd to write to for new requests, or -1 (simulation: polled) */
};

/* Shard thread: sends a request to control and wakes it. */
void admission_ask(struct admission *admission, struct admission_request *request);

/* Control thread: sends it back to its shard and wakes that. */
void admission_answer(struct admission *admission, struct admission_request *request);

#endif
