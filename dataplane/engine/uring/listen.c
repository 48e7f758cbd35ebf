/* A poll reports that a connection is queued, listener.h accepts it. Not multishot accept: it has one buffer for all peers' addresses. */
#include "engine/uring/uring.h"

#include <poll.h>

static bool has_room(const struct engine *base)
{
    return uring_slot_is_free((const struct uring_engine *)(const void *)base);
}

static void open_accepted(struct engine *base, int descriptor, const struct address *peer)
{
    struct uring_engine *engine = uring_of(base);
    struct uring_connection *connection = uring_slot_take(engine);

    connection->descriptor = descriptor;
    counter_add(&base->counters.open_connections, 1);
    uring_handler(engine)->accepted(base->options.context, &connection->base, peer, engine->now_ns);
    uring_receive_arm(engine, connection);
}

void uring_listener_init(struct uring_engine *engine)
{
    listener_init(&engine->listener, &engine->base, has_room, open_accepted);
}

int uring_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options)
{
    return listener_open(&uring_of(base)->listener, address, options);
}

void uring_accept_pause(struct engine *base, bool paused)
{
    listener_pause(&uring_of(base)->listener, paused);
}

void uring_listen_stop(struct engine *base)
{
    uring_of(base)->listener.stopping = true;
}

bool uring_listener_turn(struct uring_engine *engine, uint64_t *deadline_ns)
{
    bool busy = listener_turn(&engine->listener, engine->now_ns, deadline_ns);
    struct io_uring_sqe *submission;

    if (engine->listener_armed || !listener_is_waiting(&engine->listener, engine->now_ns))
        return busy;
    submission = uring_submission(engine);
    io_uring_prep_poll_add(submission, engine->listener.descriptor, POLLIN);
    submission->user_data = uring_tag_without_connection(URING_LISTENER, 0);
    engine->listener_armed = true;
    return busy;
}

void uring_listener_ready(struct uring_engine *engine)
{
    engine->listener_armed = false;
    engine->listener.ready = engine->listener.descriptor >= 0;
}
