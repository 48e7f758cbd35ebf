/* One turn: do everything that is due, wait for events once, then handle them. */
#include "engine/epoll/epoll.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define WRITABLE (EPOLLOUT | EPOLLERR | EPOLLHUP)
#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)
#define ENDING   (EPOLLRDHUP | EPOLLERR | EPOLLHUP)

int epoll_watch(struct epoll_engine *engine, int descriptor, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = what};

    epoll_count_system_call(engine);
    return epoll_ctl(engine->descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

int epoll_watch_connection(struct epoll_engine *engine, int descriptor, struct epoll_connection *connection)
{
    return epoll_watch(engine, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP, connection);
}

void epoll_unwatch(struct epoll_engine *engine, int descriptor)
{
    epoll_count_system_call(engine);
    epoll_ctl(engine->descriptor, EPOLL_CTL_DEL, descriptor, NULL);
}

void epoll_todo(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (connection->in_todo)
        return;
    connection->in_todo = true;
    queue_append(&engine->todo, &connection->todo);
}

static void work_off(struct epoll_engine *engine, struct epoll_connection *connection)
{
    connection->in_todo = false;
    if (connection->base.dead && !connection->reported)
        epoll_end(engine, connection, 0);
    if (!connection->base.dead && connection->connecting && connection->error != 0)
        epoll_connect_proceed(engine, connection);
    if (!connection->base.dead && connection->resume_wanted)
        epoll_receive_offer_kept(engine, connection);
    epoll_finish_proceed(engine, connection);
    epoll_detach_proceed(engine, connection);
    epoll_slot_release(engine, connection);
}

/* Works off the todo queue; what handlers add to it meanwhile is for the next turn. True if there was anything to do. */
static bool do_todo(struct epoll_engine *engine)
{
    struct queue todo = engine->todo;
    struct queue_node *node;
    bool busy = !queue_is_empty(&todo);

    engine->todo = (struct queue){0};
    while ((node = queue_take(&todo)))
        work_off(engine, QUEUE_ENTRY(node, struct epoll_connection, todo));
    return busy;
}

static void handle_connection(struct epoll_engine *engine, struct epoll_connection *connection, uint32_t events)
{
    if (connection->connecting && !connection->base.dead && events & WRITABLE)
        epoll_connect_proceed(engine, connection);
    if (!connection->base.dead) {
        connection->hung_up |= (events & ENDING) != 0;
        if (events & WRITABLE)
            epoll_writable(engine, connection);
        if (events & READABLE)
            epoll_receive_ready(engine, connection);
    }
    epoll_detach_proceed(engine, connection);
    epoll_slot_release(engine, connection);
}

static void handle(struct epoll_engine *engine, const struct epoll_event *event)
{
    if (event->data.ptr == &engine->wake_event) {
        counter_add(&engine->base.counters.wakeups, 1);
        epoll_handler(engine)->woken(engine->base.options.context, engine->now_ns);
    } else if (event->data.ptr == &engine->listener) {
        engine->listener.ready = engine->listener.descriptor >= 0;
    } else {
        handle_connection(engine, event->data.ptr, event->events);
    }
}

/* Rounds up: a sleep that ends before the deadline would have to be followed by further ones. */
static int milliseconds(uint64_t ns)
{
    uint64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0);

    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int wait_for_events(struct epoll_engine *engine, uint64_t left_ns)
{
    const struct timespec timeout = {.tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S)};

    if (left_ns == 0 || left_ns == CLOCK_NEVER)
        return epoll_wait(engine->descriptor, engine->events, EPOLL_EVENTS, left_ns == 0 ? 0 : -1);
    if (!engine->has_epoll_pwait2)
        return epoll_wait(engine->descriptor, engine->events, EPOLL_EVENTS, milliseconds(left_ns));
    return epoll_pwait2(engine->descriptor, engine->events, EPOLL_EVENTS, &timeout, NULL);
}

/* Takes the events that are there; if `sleep`, waits for one until the deadline. Returns how many there are, -1 if nothing was looked at. */
static int take_events(struct epoll_engine *engine, bool sleep, uint64_t deadline_ns)
{
    uint64_t left_ns = sleep && deadline_ns > engine->now_ns ? deadline_ns - engine->now_ns : 0;
    int count;

    epoll_count_system_call(engine);
    count = wait_for_events(engine, deadline_ns == CLOCK_NEVER && sleep ? CLOCK_NEVER : left_ns);
    if (count < 0 && errno != EINTR)
        log_line(LOG_ERROR, "epoll", "epoll_wait: %s", strerror(errno));
    return count;
}

static bool is_busy(const struct epoll_engine *engine)
{
    return !queue_is_empty(&engine->todo) || !queue_is_empty(&engine->send_queue) || !queue_is_empty(&engine->read_queue) ||
           engine->base.options.busy_poll;
}

uint64_t epoll_turn(struct engine *base, uint64_t deadline_ns)
{
    struct epoll_engine *engine = epoll_of(base);
    uint64_t wait_ended_ns;
    bool busy, all_read;
    int count;

    engine->now_ns = clock_monotonic_ns();
    busy = do_todo(engine);
    busy |= listener_turn(&engine->listener, engine->now_ns, &deadline_ns);
    busy |= epoll_send(engine) > 0;
    count = take_events(engine, !busy && !is_busy(engine), deadline_ns);
    waker_end_sleep(&base->waker);
    wait_ended_ns = engine->now_ns = clock_monotonic_ns();
    for (int i = 0; i < count; i++)
        handle(engine, &engine->events[i]);
    all_read = epoll_receive(engine);
    if (all_read && count >= 0 && count < EPOLL_EVENTS)
        engine->reported_until_ns = wait_ended_ns;
    return engine->reported_until_ns;
}
