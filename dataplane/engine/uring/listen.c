/*
 * Listening and accepting. One poll says that somebody is queued; then accept4 takes a bounded number a turn, so a pause and the limit
 * of connections hold exactly, and the peer's address comes with it (multishot accept has one address buffer for all).
 */
#include "engine/socket.h"
#include "engine/uring/uring.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define FILES_RETRY_NS   NS_PER_S

int uring_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options)
{
    struct uring_engine *engine = uring_of(base);
    int descriptor;

    if (engine->listener.descriptor >= 0)
        return -EBUSY;
    descriptor = socket_listen(address, options, &base->listen_port);
    if (descriptor < 0)
        return descriptor;
    engine->listener = (struct uring_listener){.descriptor = descriptor, .paused = engine->listener.paused};
    return 0;
}

void uring_accept_pause(struct engine *base, bool paused)
{
    struct uring_listener *listener = &uring_of(base)->listener;

    if (paused && !listener->paused)
        counter_add(&base->counters.accept_pauses, 1);
    listener->paused = paused;
}

void uring_listen_stop(struct engine *base)
{
    uring_of(base)->listener.stopping = true;
}

static void open_accepted(struct uring_engine *engine, int descriptor, const struct sockaddr *sockaddr)
{
    struct uring_connection *connection = uring_slot_take(engine);
    struct address peer;

    /* The listener is IPv4 or IPv6, so the conversion can't fail, and the caller made sure of the slot. */
    address_from_sockaddr(&peer, sockaddr);
    connection->descriptor = descriptor;
    counter_add(&engine->base.counters.accepts, 1);
    counter_add(&engine->base.counters.open_connections, 1);
    uring_handler(engine)->accepted(engine->base.options.context, &connection->base, &peer, engine->now_ns);
    uring_receive_arm(engine, connection);
}

static void pause_for_files(struct uring_engine *engine, const char *reason)
{
    struct uring_listener *listener = &engine->listener;

    if (!listener->out_of_files) {
        log_line(LOG_WARN, "uring", "accepting pauses: %s; who connects waits in the backlog (ulimit -n, fs.file-max)", reason);
        counter_add(&engine->base.counters.accept_pauses, 1);
    }
    listener->out_of_files = true;
    listener->retry_at_ns = engine->now_ns + FILES_RETRY_NS;
}

/* True if there is one for a connection. At the end there is nobody left to keep the others for. */
static bool take_descriptor(struct uring_engine *engine)
{
    if (!engine->listener.stopping)
        return descriptor_budget_take(engine->base.options.descriptors);
    descriptor_budget_spend(engine->base.options.descriptors);
    return true;
}

/* Accepts up to `limit`; true if more may be queued. */
static bool accept_some(struct uring_engine *engine, unsigned limit)
{
    struct uring_listener *listener = &engine->listener;

    for (unsigned i = 0; i < limit && uring_slot_is_free(engine); i++) {
        struct sockaddr_storage sockaddr;
        socklen_t length = sizeof sockaddr;
        int descriptor;

        if (listener->paused && !listener->stopping)
            return true;
        if (!take_descriptor(engine)) {
            pause_for_files(engine, "the file descriptors that are left are reserved");
            return true;
        }
        uring_count_system_call(engine);
        /* Without SOCK_NONBLOCK, which would forbid the ring to wait for the socket by itself. */
        descriptor = accept4(listener->descriptor, (struct sockaddr *)&sockaddr, &length, SOCK_CLOEXEC);
        if (descriptor >= 0) {
            open_accepted(engine, descriptor, (struct sockaddr *)&sockaddr);
            continue;
        }
        descriptor_budget_return(engine->base.options.descriptors);
        if (errno == EAGAIN) {
            listener->out_of_files = false;
            return false;
        } else if (socket_is_out_of_files(errno)) {
            pause_for_files(engine, strerror(errno));
            return true;
        } else if (!socket_is_of_one_connection(errno)) {
            log_line(LOG_ERROR, "uring", "accept: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

static void arm_listener(struct uring_engine *engine)
{
    struct io_uring_sqe *submission = uring_submission(engine);

    io_uring_prep_poll_add(submission, engine->listener.descriptor, POLLIN);
    submission->user_data = uring_tag_without_connection(URING_LISTENER, 0);
    engine->listener.armed = true;
}

static void stop_listening(struct uring_engine *engine)
{
    accept_some(engine, UINT32_MAX);
    uring_listener_close(engine);
}

void uring_listener_close(struct uring_engine *engine)
{
    struct uring_listener *listener = &engine->listener;

    if (listener->descriptor < 0)
        return;
    /* The poll holds the socket open beyond its close; shut down, it listens no more and ends the poll. */
    shutdown(listener->descriptor, SHUT_RDWR);
    close(listener->descriptor);
    listener->descriptor = -1;
    listener->ready = false;
}

bool uring_listener_turn(struct uring_engine *engine, uint64_t *deadline_ns)
{
    struct uring_listener *listener = &engine->listener;
    uint64_t accepts = counter_read(&engine->base.counters.accepts);

    if (listener->descriptor < 0)
        return false;
    if (listener->stopping) {
        stop_listening(engine);
        return true;
    }
    if (engine->now_ns < listener->retry_at_ns) {
        *deadline_ns = *deadline_ns < listener->retry_at_ns ? *deadline_ns : listener->retry_at_ns;
        return false;
    }
    if (listener->paused || !uring_slot_is_free(engine))
        return false;
    if (listener->ready)
        listener->ready = accept_some(engine, ACCEPTS_PER_TURN);
    if (!listener->ready && !listener->armed)
        arm_listener(engine);
    if (counter_read(&engine->base.counters.accepts) != accepts)
        return true;
    return listener->ready && engine->now_ns >= listener->retry_at_ns && !listener->paused && uring_slot_is_free(engine);
}

void uring_listener_ready(struct uring_engine *engine)
{
    engine->listener.armed = false;
    engine->listener.ready = engine->listener.descriptor >= 0;
}

void uring_listener_retry(struct uring_engine *engine)
{
    engine->listener.retry_at_ns = 0;
}
