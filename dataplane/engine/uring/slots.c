/* Connections' memory: mapped once, touched only as far as it was needed at once, last freed first used. */
#include "engine/extents.h"
#include "engine/uring/uring.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

int uring_slots_map(struct uring_slots *slots, uint32_t count)
{
    size_t length = count * sizeof(struct uring_connection);
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    /* A huge page would be touched whole by its first connection; if it can't be prevented, that is all that is lost. */
    madvise(memory, length, MADV_NOHUGEPAGE);
    slots->connections = memory;
    return 0;
}

void uring_slots_unmap(struct uring_slots *slots, uint32_t count)
{
    munmap(slots->connections, count * sizeof(struct uring_connection));
}

bool uring_slot_is_free(const struct uring_engine *engine)
{
    return engine->slots.in_use < engine->base.options.max_connections;
}

struct uring_connection *uring_slot_take(struct uring_engine *engine)
{
    struct uring_slots *slots = &engine->slots;
    struct uring_connection *connection = slots->free;
    uint32_t generation;

    if (!uring_slot_is_free(engine))
        return NULL;
    if (connection)
        slots->free = connection->next_queued;
    else
        connection = &slots->connections[slots->touched++];
    slots->in_use++;
    generation = (connection->generation + 1) & URING_GENERATION_MASK;
    *connection = (struct uring_connection){
        .generation = generation,
        .descriptor = -1,
        .first_buffer = URING_NO_BUFFER,
        .last_buffer = URING_NO_BUFFER,
        .pins = {HOLDS_NONE, HOLDS_NONE, HOLDS_NONE},
    };
    extents_init(&connection->base);
    return connection;
}

void uring_slot_release(struct uring_engine *engine, struct uring_connection *connection)
{
    if (!connection->reported || connection->operations > 0 || connection->in_todo || connection->receive_waits ||
        connection->base.queued)
        return;
    assert(connection->base.held_sequence == HOLDS_NONE && connection->first_buffer == URING_NO_BUFFER);
    connection->reported = false;
    connection->generation = (connection->generation + 1) & URING_GENERATION_MASK;
    connection->next_queued = engine->slots.free;
    engine->slots.free = connection;
    engine->slots.in_use--;
}
