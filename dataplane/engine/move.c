#include "engine/move.h"

#include "engine/extents.h"
#include "engine/unread.h"

void move_hand_over(struct engine *engine, struct connection *connection, int descriptor, uint64_t now_ns)
{
    struct engine_handoff handoff = {.descriptor = descriptor};

    extents_hand_off(connection, &handoff);
    handoff.unread_bytes = unread_peek(engine, connection, &handoff.unread);
    connection->dead = true;
    counter_subtract(&engine->counters.open_connections, 1);
    descriptor_budget_return(engine->options.descriptors);
    engine->options.handler->detached(engine->options.context, connection, &handoff, now_ns);
    extents_release(engine, connection);
    unread_drop(engine, connection);
}

int move_take_over(struct engine *engine, struct connection *connection, const struct engine_handoff *handoff)
{
    int error = extents_take_over(engine, connection, handoff);

    if (error == 0 && handoff->unread_bytes > 0)
        error = unread_keep(engine, connection, handoff->unread, handoff->unread_bytes);
    if (error != 0) {
        extents_release(engine, connection);
        return error;
    }
    counter_add(&engine->counters.open_connections, 1);
    descriptor_budget_spend(engine->options.descriptors);
    return 0;
}
