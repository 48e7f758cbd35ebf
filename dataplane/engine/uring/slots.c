/* The memory of connections: slots in a slab. */
#include "engine/extents.h"
#include "engine/uring/uring.h"

#include <assert.h>

bool uring_slot_is_free(const struct uring_engine *engine)
{
    return slab_used(&engine->slots) < engine->base.options.max_connections;
}

struct uring_connection *uring_slot_take(struct uring_engine *engine)
{
    struct uring_connection *connection = slab_take(&engine->slots);
    uint32_t generation;

    if (!connection)
        return NULL;
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
    slab_give(&engine->slots, connection);
}
