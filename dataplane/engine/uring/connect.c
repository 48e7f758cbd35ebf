#include "engine/extents.h"
#include "engine/uring/uring.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

struct connection *uring_connect(struct engine *base, const struct address *remote, void *owner)
{
    struct uring_engine *engine = uring_of(base);
    struct uring_connection *connection = uring_slot_take(engine);

    if (!connection)
        return NULL;
    connection->base.owner = owner;
    connection->connecting = true;
    connection->remote = malloc(sizeof *connection->remote);
    if (connection->remote)
        address_to_sockaddr(remote, connection->remote);
    uring_todo(engine, connection);
    return &connection->base;
}

/* Ends the state of connecting: frees the address, and clears the pins that share its memory. */
static void forget_remote(struct uring_connection *connection)
{
    free(connection->remote);
    connection->connecting = false;
    for (unsigned i = 0; i < URING_PINS; i++)
        connection->pins[i] = HOLDS_NONE;
}

static void report_failure(struct uring_engine *engine, struct uring_connection *connection, int error)
{
    connection->base.dead = true;
    connection->reported = true;
    extents_release(&engine->base, &connection->base);
    uring_close(engine, connection);
    uring_handler(engine)->connected(engine->base.options.context, &connection->base, error, engine->now_ns);
}

void uring_connect_start(struct uring_engine *engine, struct uring_connection *connection)
{
    int family = connection->remote ? connection->remote->ss_family : AF_UNSPEC;
    struct io_uring_sqe *submission;
    int one = 1;

    if (connection->remote) {
        uring_count_system_call(engine);
        connection->descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    } else {
        errno = ENOMEM;
    }
    if (connection->descriptor < 0) {
        int error = -errno;

        forget_remote(connection);
        report_failure(engine, connection, error);
        return;
    }
    counter_add(&engine->base.counters.open_connections, 1);
    descriptor_budget_spend(engine->base.options.descriptors);
    uring_count_system_call(engine);
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    submission = uring_submission(engine);
    io_uring_prep_connect(submission, connection->descriptor, (struct sockaddr *)connection->remote,
                          family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    uring_tag(engine, connection, submission, URING_CONNECT);
}

void uring_connect_done(struct uring_engine *engine, struct uring_connection *connection, int result)
{
    forget_remote(connection);
    if (connection->base.dead)
        return;
    if (result < 0) {
        report_failure(engine, connection, result);
        return;
    }
    counter_add(&engine->base.counters.connects, 1);
    uring_handler(engine)->connected(engine->base.options.context, &connection->base, 0, engine->now_ns);
    uring_receive_arm(engine, connection);
    /* Bytes may have been appended, and engine_finish called, before the connection was made. */
    engine_serve(&engine->base, &connection->base);
    uring_finish_proceed(engine, connection);
}
