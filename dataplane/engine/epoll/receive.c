/*
 * Reading into one buffer of the engine. The kernel reports once that there are bytes; a connection that is not read to the end, because
 * it had its share of the turn or because its handler consumed less, stays marked as readable.
 */
#include "engine/epoll/epoll.h"
#include "engine/unread.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

/* Most reads per connection and turn: a sixteenth of the reads of a turn. */
#define READS_PER_CONNECTION(options) ((options)->receive_buffers / 16 > 1 ? (options)->receive_buffers / 16 : 1)

static bool may_read(const struct epoll_connection *connection)
{
    return connection->readable && !connection->receive_paused && !connection->finish_delivered && !connection->base.dead &&
           !connection->base.detaching;
}

/* Queues the connection for reading, unless it is queued already or may not be read. */
static void enqueue(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (connection->read_queued || !may_read(connection))
        return;
    connection->read_queued = true;
    queue_append(&engine->read_queue, &connection->reading);
}

void epoll_receive_ready(struct epoll_engine *engine, struct epoll_connection *connection)
{
    connection->readable = true;
    enqueue(engine, connection);
}

/* Offers the bytes that were read to the handler, and keeps those that it does not consume. */
static void deliver(struct epoll_engine *engine, struct epoll_connection *connection, size_t length)
{
    struct connection *base = &connection->base;
    size_t consumed;

    counter_add(&engine->base.counters.receives, 1);
    counter_add(&engine->base.counters.bytes_received, length);
    consumed = epoll_handler(engine)->received(engine->base.options.context, base, engine->buffer, length, engine->now_ns);
    assert(consumed <= length);
    if (base->dead || consumed == length)
        return;
    connection->receive_paused = true;
    if (unread_keep(&engine->base, base, engine->buffer + consumed, length - consumed) != 0)
        epoll_fail(engine, connection, -ENOMEM);
}

/* Reports the peer's FIN; everything before it was consumed. */
static void deliver_finish(struct epoll_engine *engine, struct epoll_connection *connection)
{
    connection->finish_delivered = true;
    epoll_handler(engine)->received(engine->base.options.context, &connection->base, engine->buffer, 0, engine->now_ns);
    epoll_finish_proceed(engine, connection);
}

/* Reads once. A short read has emptied the socket, unless a FIN or an error follows (hung_up). */
static void read_once(struct epoll_engine *engine, struct epoll_connection *connection)
{
    size_t capacity = engine->base.options.receive_buffer_bytes;
    ssize_t length = recv(connection->descriptor, engine->buffer, capacity, MSG_DONTWAIT);

    epoll_count_system_call(engine);
    if (length > 0) {
        connection->readable = (size_t)length == capacity || connection->hung_up;
        deliver(engine, connection, (size_t)length);
    } else if (length == 0) {
        deliver_finish(engine, connection);
    } else if (errno == EAGAIN) {
        connection->readable = connection->hung_up = false;
    } else if (errno != EINTR) {
        epoll_fail(engine, connection, -errno);
    }
}

/* Reads at most `limit` times; returns how often. */
static unsigned read_some(struct epoll_engine *engine, struct epoll_connection *connection, unsigned limit)
{
    unsigned reads = 0;

    while (reads < limit && may_read(connection)) {
        read_once(engine, connection);
        reads++;
    }
    return reads;
}

bool epoll_receive(struct epoll_engine *engine)
{
    const struct engine_options *options = &engine->base.options;
    unsigned share = READS_PER_CONNECTION(options), left = options->receive_buffers;
    const struct queue_node *last = engine->read_queue.last;
    struct queue_node *node = NULL;

    /* A connection that is not read to the end is appended again, behind `last`: for the next turn. */
    while (left > 0 && node != last && (node = queue_take(&engine->read_queue))) {
        struct epoll_connection *connection = QUEUE_ENTRY(node, struct epoll_connection, reading);

        left -= read_some(engine, connection, share < left ? share : left);
        connection->read_queued = false;
        enqueue(engine, connection);
        epoll_slot_release(engine, connection);
    }
    return queue_is_empty(&engine->read_queue);
}

void epoll_receive_resume(struct engine *base, struct connection *connection)
{
    epoll_connection_of(connection)->resume_wanted = true;
    epoll_todo(epoll_of(base), epoll_connection_of(connection));
}

void epoll_receive_offer_kept(struct epoll_engine *engine, struct epoll_connection *connection)
{
    connection->resume_wanted = false;
    if (connection->base.detaching || !unread_offer(&engine->base, &connection->base, engine->now_ns) || connection->base.dead)
        return;
    connection->receive_paused = false;
    enqueue(engine, connection);
}
