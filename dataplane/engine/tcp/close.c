/* How connections end. */
#include "engine/tcp/connection.h"
#include "engine/tcp/recovery.h"
#include "engine/tcp/stream.h"

#include "engine/extents.h"

#include <errno.h>

/* Forgets what was sent; the log may be freed then, as far as the port does not read it. */
static void let_go(struct tcp_engine *engine, struct tcp_connection *connection)
{
    counter_subtract(&engine->counters.unacknowledged_bytes, tcp_unacknowledged(connection));
    recovery_release(engine, connection);
    connection->recovering = connection->is_loss = false;
    stream_release(engine, connection);
    connection->timer = TIMER_NONE;
}

/* Late segments of the connection are known by its closed tuple from now on. */
static void leave_table(struct tcp_engine *engine, struct tcp_connection *connection)
{
    const struct closed_tuple tuple = {.remote = connection->remote,
                                       .remote_port = connection->remote_port,
                                       .local = connection->local,
                                       .receive_next = connection->receive_next,
                                       .nxt = connection->nxt,
                                       .closed_at = engine->now};

    table_remove(&engine->table, tcp_hash(engine, &connection->remote, connection->remote_port, connection->local),
                 tcp_slot(engine, connection));
    host_leave_neighbour(engine->host, connection->neighbour);
    closed_tuples_add(&engine->closed, &tuple);
    counter_subtract(&engine->base.counters.open_connections, 1);
}

void tcp_end(struct tcp_engine *engine, struct tcp_connection *connection, int error)
{
    if (!connection->base.dead)
        extents_release(&engine->base, &connection->base);
    connection->base.dead = true;
    connection->reported = true;
    let_go(engine, connection);
    leave_table(engine, connection);
    engine->handled = true;
    tcp_handler(engine)->closed(engine->base.options.context, &connection->base, error, engine->now_ns);
}

/* The reset is sent once: if it is lost, the peer gets another for whatever it sends next. */
void tcp_abort(struct engine *base, struct connection *connection)
{
    struct tcp_connection *own = tcp_connection_of(connection);

    output_bare(tcp_of(base), own, own->nxt, TCP_RST | TCP_ACK);
    let_go(tcp_of(base), own);
    tcp_todo(tcp_of(base), own);
}

void tcp_finish(struct engine *base, struct connection *connection)
{
    tcp_todo(tcp_of(base), tcp_connection_of(connection));
}

static bool send_fin(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (!output_bare(engine, connection, connection->nxt, TCP_FIN | TCP_ACK))
        return false;
    if (connection->una == connection->nxt)
        recovery_begin_flight(engine, connection);
    connection->nxt++;
    connection->fin_sent = true;
    counter_add(&engine->counters.unacknowledged_bytes, 1);
    recovery_note_sent(engine, connection);
    tcp_set_deadline(engine, connection, false);
    return true;
}

void tcp_finish_proceed(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->base.dead || !connection->base.finishing || connection->base.extent_count > 0)
        return;
    if (!connection->fin_sent && !send_fin(engine, connection))
        tcp_todo(engine, connection);
    if (connection->fin_sent && connection->una == connection->nxt && connection->peer_finished)
        tcp_end(engine, connection, 0);
}

static void give_up(struct tcp_engine *engine, struct tcp_connection *connection)
{
    output_bare(engine, connection, connection->nxt, TCP_RST | TCP_ACK);
    tcp_end(engine, connection, -ETIMEDOUT);
}

/* What handlers add meanwhile is for the next turn. */
void tcp_report_ends(struct tcp_engine *engine)
{
    struct slot_stack now = engine->todo;

    engine->todo = engine->todo_now;
    engine->todo_now = now;
    while (engine->todo_now.count > 0) {
        struct tcp_connection *connection = slab_element(&engine->slots, engine->todo_now.slots[--engine->todo_now.count]);

        connection->in_todo = false;
        if (connection->base.dead && !connection->reported)
            tcp_end(engine, connection, 0);
        else if (connection->is_failed && !connection->reported)
            give_up(engine, connection);
        else
            tcp_finish_proceed(engine, connection);
        tcp_release_slot(engine, connection);
    }
}
