#include "engine/listener.h"

#include "engine/socket.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define FILES_RETRY_NS   NS_PER_S

void listener_init(struct listener *listener, struct engine *engine, bool (*has_room)(const struct engine *engine),
                   void (*accepted)(struct engine *engine, int descriptor, const struct address *peer))
{
    *listener = (struct listener){.engine = engine, .has_room = has_room, .accepted = accepted, .descriptor = -1};
}

int listener_open(struct listener *listener, const struct address *address, const struct engine_listen_options *options)
{
    int descriptor;

    if (listener->descriptor >= 0)
        return -EBUSY;
    descriptor = socket_listen(address, options, &listener->engine->listen_port);
    if (descriptor < 0)
        return descriptor;
    listener->descriptor = descriptor;
    listener->stopping = false;
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener->descriptor < 0)
        return;
    /* An outstanding poll keeps the socket open beyond its close; the shutdown ends both listening and the poll. */
    shutdown(listener->descriptor, SHUT_RDWR);
    close(listener->descriptor);
    listener->descriptor = -1;
    listener->ready = false;
}

void listener_pause(struct listener *listener, bool paused)
{
    if (paused && !listener->paused)
        counter_add(&listener->engine->counters.accept_pauses, 1);
    listener->paused = paused;
}

static void pause_for_files(struct listener *listener, const char *reason, uint64_t now_ns)
{
    if (!listener->out_of_files) {
        log_line(LOG_WARN, "engine", "accepting pauses: %s; new connections wait in the backlog (ulimit -n, fs.file-max)",
                 reason);
        counter_add(&listener->engine->counters.accept_pauses, 1);
    }
    listener->out_of_files = true;
    listener->retry_at_ns = now_ns + FILES_RETRY_NS;
}

/* The listener is IPv4 or IPv6, so the conversion of the peer's address can't fail. */
static void hand_over_accepted(struct listener *listener, int descriptor, const struct sockaddr *sockaddr)
{
    struct address peer;

    address_from_sockaddr(&peer, sockaddr);
    counter_add(&listener->engine->counters.accepts, 1);
    listener->accepted(listener->engine, descriptor, &peer);
}

/* accept(2) failed. True if more connections may be queued behind the one that failed. */
static bool handle_accept_error(struct listener *listener, int error, uint64_t now_ns)
{
    if (error == EAGAIN) {
        listener->out_of_files = false;
        listener->ready = false;
    } else if (socket_is_out_of_files(error)) {
        pause_for_files(listener, strerror(error), now_ns);
    } else if (!socket_is_of_one_connection(error)) {
        log_line(LOG_ERROR, "engine", "accept: %s", strerror(error));
        listener->ready = false;
    } else {
        return true;
    }
    return false;
}

/* Takes a descriptor for a connection; false if none is left. A listener that stops may exceed the budget: nothing needs the reserve then. */
static bool take_descriptor(const struct listener *listener)
{
    struct descriptor_budget *budget = listener->engine->options.descriptors;

    if (!listener->stopping)
        return descriptor_budget_take(budget);
    descriptor_budget_spend(budget);
    return true;
}

/* Accepts at most `limit` connections; returns how many. */
static unsigned accept_some(struct listener *listener, unsigned limit, uint64_t now_ns)
{
    unsigned count = 0;

    while (count < limit && listener->has_room(listener->engine) && (!listener->paused || listener->stopping)) {
        struct sockaddr_storage sockaddr;
        socklen_t length = sizeof sockaddr;
        int descriptor;

        if (!take_descriptor(listener)) {
            pause_for_files(listener, "the file descriptors that are left are reserved", now_ns);
            break;
        }
        counter_add(&listener->engine->counters.system_calls, 1);
        /* Without SOCK_NONBLOCK, which would forbid io_uring to wait for the socket by itself. */
        descriptor = accept4(listener->descriptor, (struct sockaddr *)&sockaddr, &length, SOCK_CLOEXEC);
        if (descriptor >= 0) {
            hand_over_accepted(listener, descriptor, (struct sockaddr *)&sockaddr);
            count++;
            continue;
        }
        int error = errno;
        descriptor_budget_return(listener->engine->options.descriptors);
        if (!handle_accept_error(listener, error, now_ns))
            break;
    }
    return count;
}

/*
 * How many connections a turn may accept. One where descriptors are short: what closes for it gives its descriptor back within the next turns,
 * so that some are always left.
 */
static unsigned accepts_per_turn(const struct listener *listener)
{
    int64_t spare = descriptor_budget_spare(listener->engine->options.descriptors);

    if (spare <= 0)
        return 1;
    return spare < ACCEPTS_PER_TURN ? (unsigned)spare : ACCEPTS_PER_TURN;
}

/* True if nothing but an empty queue can keep the listener from accepting. */
static bool may_accept(const struct listener *listener, uint64_t now_ns)
{
    return listener->descriptor >= 0 && now_ns >= listener->retry_at_ns && !listener->paused &&
           listener->has_room(listener->engine);
}

bool listener_is_waiting(const struct listener *listener, uint64_t now_ns)
{
    return may_accept(listener, now_ns) && !listener->ready;
}

bool listener_turn(struct listener *listener, uint64_t now_ns, uint64_t *deadline_ns)
{
    unsigned count = 0;

    if (listener->descriptor < 0)
        return false;
    if (listener->stopping) {
        accept_some(listener, UINT32_MAX, now_ns);
        listener_close(listener);
        return true;
    }
    if (listener->ready && may_accept(listener, now_ns))
        count = accept_some(listener, accepts_per_turn(listener), now_ns);
    if (now_ns < listener->retry_at_ns)
        *deadline_ns = *deadline_ns < listener->retry_at_ns ? *deadline_ns : listener->retry_at_ns;
    return count > 0 || (listener->ready && may_accept(listener, now_ns));
}
