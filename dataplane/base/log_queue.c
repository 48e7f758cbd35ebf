#include "base/log_queue.h"

#include <string.h>

static uint32_t record_bytes(size_t text_bytes)
{
    size_t bytes = sizeof(struct log_record) + text_bytes;

    return (uint32_t)(bytes + LOG_RECORD_ALIGNMENT - 1) & ~(LOG_RECORD_ALIGNMENT - 1u);
}

static struct log_record *record_at(struct log_queue *queue, uint64_t position)
{
    return (struct log_record *)(void *)(queue->bytes + position % LOG_QUEUE_BYTES);
}

/* The bytes from `position` to the ring's end if a record of `bytes` does not fit there; else 0. */
static uint32_t filler_bytes(uint64_t position, uint32_t bytes)
{
    uint32_t left = LOG_QUEUE_BYTES - (uint32_t)(position % LOG_QUEUE_BYTES);

    return left < bytes ? left : 0;
}

static void publish_filler(struct log_record *record, uint32_t bytes)
{
    record->is_filler = true;
    atomic_store_explicit(&record->bytes, bytes, memory_order_release);
}

/* Reserves `bytes` in one piece, which begins at *position; false if there is no room. */
static bool reserve(struct log_queue *queue, uint32_t bytes, uint64_t *position)
{
    uint32_t filler;
    uint64_t at;

    do {
        uint64_t freed = atomic_load_explicit(&queue->freed, memory_order_acquire);

        at = atomic_load_explicit(&queue->reserved, memory_order_relaxed); /* read after `freed`, so never below it */
        filler = filler_bytes(at, bytes);
        if (at + filler + bytes - freed > LOG_QUEUE_BYTES)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&queue->reserved, &at, at + filler + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (filler > 0)
        publish_filler(record_at(queue, at), filler);
    *position = at + filler;
    return true;
}

uint32_t log_queue_take_unreported(struct log_queue *queue)
{
    if (atomic_load_explicit(&queue->unreported, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(&queue->unreported, 0, memory_order_relaxed);
}

void log_queue_push(struct log_queue *queue, const struct log_message *message)
{
    size_t length = strlen(message->text) + 1;
    uint32_t bytes = record_bytes(length);
    struct log_record *record;
    uint64_t position;

    if (!reserve(queue, bytes, &position)) {
        atomic_fetch_add_explicit(&queue->dropped, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&queue->unreported, 1, memory_order_relaxed);
        return;
    }
    record = record_at(queue, position);
    record->is_filler = false;
    record->level = (uint8_t)message->level;
    record->dropped = log_queue_take_unreported(queue);
    record->time_ns = message->time_ns;
    record->module = message->module;
    memcpy(record->text, message->text, length);
    atomic_store_explicit(&record->bytes, bytes, memory_order_release);
}

struct log_record *log_queue_first(struct log_queue *queue)
{
    for (;;) {
        struct log_record *record = record_at(queue, atomic_load_explicit(&queue->freed, memory_order_relaxed));

        if (atomic_load_explicit(&record->bytes, memory_order_acquire) == 0)
            return NULL;
        if (!record->is_filler)
            return record;
        log_queue_pop(queue, record);
    }
}

/* Zeroes the memory, so that a record that is reserved there later is not taken for complete. */
void log_queue_pop(struct log_queue *queue, struct log_record *record)
{
    uint32_t bytes = atomic_load_explicit(&record->bytes, memory_order_relaxed);

    memset((void *)record, 0, bytes);
    atomic_store_explicit(&queue->freed, atomic_load_explicit(&queue->freed, memory_order_relaxed) + bytes, memory_order_release);
}
