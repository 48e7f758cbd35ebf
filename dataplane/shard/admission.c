#include "flashrelay/admission.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

void admission_queue_init(struct admission_queue *queue)
{
    atomic_init(&queue->newest, NULL);
}

/* True if the queue was empty before. */
static bool push(struct admission_queue *queue, struct admission_request *request)
{
    struct admission_request *newest = atomic_load_explicit(&queue->newest, memory_order_relaxed);

    do {
        request->next = newest;
    } while (
        !atomic_compare_exchange_weak_explicit(&queue->newest, &newest, request, memory_order_seq_cst, memory_order_relaxed));
    return !newest;
}

void admission_queue_push(struct admission_queue *queue, struct admission_request *request)
{
    push(queue, request);
}

struct admission_request *admission_queue_take(struct admission_queue *queue)
{
    struct admission_request *newest = atomic_exchange_explicit(&queue->newest, NULL, memory_order_seq_cst);
    struct admission_request *oldest = NULL;

    while (newest) {
        struct admission_request *older = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

bool admission_queue_is_empty(const struct admission_queue *queue)
{
    return !atomic_load_explicit(&queue->newest, memory_order_seq_cst);
}

static void signal_event(int event)
{
    uint64_t one = 1;
    ssize_t written;

    do {
        written = write(event, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    assert(written == (ssize_t)sizeof one || errno == EAGAIN); /* EAGAIN: the counter is full, so the event is set */
}

void admission_ask(struct admission *admission, struct admission_request *request)
{
    /* Only the request that found the queue empty wakes the consumer, which takes all at once: those behind it need no wake-up. */
    if (push(&admission->requests, request) && admission->control_event >= 0)
        signal_event(admission->control_event);
}

void admission_answer(struct admission *admission, struct admission_request *request)
{
    unsigned shard = request->shard;

    assert(shard < admission->shards);
    admission_queue_push(&admission->answers[shard], request);
    waker_wake(admission->shard_wakers[shard], NULL);
}
