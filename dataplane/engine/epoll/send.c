/* Sending: one system call per connection and service, of everything that is pending up to a bound. */
#include "engine/epoll/epoll.h"
#include "engine/extents.h"
#include "flashrelay/clock.h"

#include <errno.h>
#include <sys/socket.h>

/* Most bytes that one send offers, to bound the part of a turn that one connection gets. */
#define SEND_BYTES ((size_t)1 << 20)
/* Most runs per send. Pending frames are one run, unless the log wrapped, some are not selected, or control bytes are between them. */
#define SEND_RUNS 16

static void enqueue(struct epoll_engine *engine, struct epoll_connection *connection)
{
    connection->base.queued = true;
    queue_append(&engine->send_queue, &connection->queued);
}

void epoll_serve(struct engine *base, struct connection *connection)
{
    enqueue(epoll_of(base), epoll_connection_of(connection));
}

/* Reports the progress of a service, and queues the connection again if bytes are left that the socket has not refused. */
static void report(struct epoll_engine *engine, struct epoll_connection *connection, const struct engine_progress *progress)
{
    struct connection *base = &connection->base;

    epoll_handler(engine)->progressed(engine->base.options.context, base, progress, engine->now_ns);
    if (base->dead)
        return;
    if (base->extent_count > 0 && !base->blocked && !base->queued && !base->detaching)
        enqueue(engine, connection);
    epoll_finish_proceed(engine, connection);
}

/* Returns how many bytes the socket took, or a negative errno. */
static ssize_t send_runs(const struct epoll_connection *connection, struct iovec *runs, unsigned count)
{
    struct msghdr message = {.msg_iov = runs, .msg_iovlen = count};
    ssize_t sent;

    if (count == 1)
        sent = send(connection->descriptor, runs->iov_base, runs->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        sent = sendmsg(connection->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent >= 0 ? sent : -errno;
}

static size_t length_of(const struct iovec *runs, unsigned count)
{
    size_t length = 0;

    while (count > 0)
        length += runs[--count].iov_len;
    return length;
}

/* The socket took `sent` of `offered` bytes (none if `sent` is an error). If it refused some, an event follows when it has room. */
static void take(struct epoll_engine *engine, struct epoll_connection *connection, const struct iovec *runs, size_t offered,
                 ssize_t sent)
{
    struct connection *base = &connection->base;
    struct engine_progress progress = {0};

    if (sent > 0)
        extents_take_runs(&engine->base, base, runs, (size_t)sent, &progress);
    counter_add(&engine->base.counters.bytes_sent, progress.bytes);
    if (progress.bytes > 0 && progress.bytes < offered)
        counter_add(&engine->base.counters.short_sends, 1);
    if (progress.bytes < offered && sent != -EINTR) {
        counter_add(&engine->base.counters.blocked, 1);
        base->blocked = true;
    }
    report(engine, connection, &progress);
}

static void serve(struct epoll_engine *engine, struct epoll_connection *connection)
{
    struct iovec runs[SEND_RUNS];
    unsigned count = extents_next_runs(&engine->base, &connection->base, SEND_BYTES, runs, SEND_RUNS);
    ssize_t sent;

    if (count == 0) {
        report(engine, connection, &(struct engine_progress){0});
        return;
    }
    epoll_count_system_call(engine);
    counter_add(&engine->base.counters.sends, 1);
    sent = send_runs(connection, runs, count);
    engine->now_ns = clock_monotonic_ns();
    if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
        epoll_fail(engine, connection, (int)sent);
    else
        take(engine, connection, runs, length_of(runs, count), sent);
}

unsigned epoll_send(struct epoll_engine *engine)
{
    unsigned served = 0;

    while (!queue_is_empty(&engine->send_queue) && served < engine->base.options.sends_per_turn) {
        struct epoll_connection *connection = QUEUE_ENTRY(queue_take(&engine->send_queue), struct epoll_connection, queued);

        served++;
        connection->base.queued = false;
        if (connection->base.detaching)
            epoll_todo(engine, connection);
        else if (!connection->base.dead && !connection->connecting)
            serve(engine, connection);
        /* A connection that is still connecting is queued again once it is connected. */
        epoll_slot_release(engine, connection);
    }
    return served;
}

void epoll_writable(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (!connection->base.blocked)
        return;
    connection->base.blocked = false;
    if (!connection->base.queued && !connection->base.detaching)
        enqueue(engine, connection);
}
