/* One turn of the engine. */
#include "engine/tcp/turn.h"

#include "engine/base.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/input.h"

/* Most packets that one turn receives before it serves connections. */
#define PACKETS_PER_TURN 1024
/* For so long without anything to do the thread keeps looking before it sleeps. */
#define IDLE_NS (50 * NS_PER_US)
/* After so long without sending the port is asked to let go of what it has sent. */
#define RECLAIM_NS        (10 * NS_PER_MS)
#define ECHOES_PER_SECOND 100

static void read_clock(struct tcp_engine *engine)
{
    engine->now_ns = engine->port->ops->now(engine->port);
    engine->now = ticks_of(engine->now_ns);
}

void tcp_wake(struct waker *waker, struct waker *from)
{
    struct tcp_engine *engine = tcp_of(engine_of_waker(waker));

    (void)from;
    atomic_store_explicit(&engine->woken, true, memory_order_release);
    engine->port->ops->wake(engine->port);
}

static void report_wake(struct tcp_engine *engine)
{
    if (!atomic_load_explicit(&engine->woken, memory_order_relaxed) ||
        !atomic_exchange_explicit(&engine->woken, false, memory_order_acquire))
        return;
    counter_add(&engine->base.counters.wakeups, 1);
    engine->handled = true;
    tcp_handler(engine)->woken(engine->base.options.context, engine->now_ns);
}

/* Receives until nothing is left, or so much that others must be served first. True if nothing was left. */
static bool receive_all(struct tcp_engine *engine)
{
    for (unsigned received = 0; received < PACKETS_PER_TURN;) {
        unsigned count = tcp_receive(engine);

        if (count == 0)
            return true;
        engine->handled = true;
        received += count;
    }
    return false;
}

static void serve(struct tcp_engine *engine)
{
    if (!engine->port->ops->flush(engine->port))
        return;
    if (tcp_serve_queued(engine) > 0)
        engine->handled = true;
}

static void once_per_second(struct tcp_engine *engine)
{
    if (engine->now_ns < engine->next_second_ns)
        return;
    engine->next_second_ns = engine->now_ns + NS_PER_S;
    engine->echoes_left = ECHOES_PER_SECOND;
    engine->port->ops->update_counters(engine->port);
    if (engine->index == 0)
        tcp_refresh_neighbours(engine);
}

static bool publisher_waits(const struct tcp_engine *engine)
{
    for (unsigned i = 0; i < engine->base.channel_count; i++)
        if (engine->base.channels[i].channel && channel_is_waiting(engine->base.channels[i].channel))
            return true;
    return false;
}

static void let_go(struct tcp_engine *engine)
{
    epochs_end_turn(&engine->epochs);
    epochs_release(&engine->epochs, &engine->base, engine->port);
    if (epochs_hold_any(&engine->epochs) && (engine->is_short || engine->now_ns - engine->last_sent_ns >= RECLAIM_NS)) {
        engine->port->ops->reclaim(engine->port, engine->is_short || publisher_waits(engine));
        epochs_release(&engine->epochs, &engine->base, engine->port);
    }
}

/* When the engine has to look again by itself, at the latest at `deadline_ns`. */
static uint64_t next_look_ns(const struct tcp_engine *engine, uint64_t deadline_ns)
{
    uint64_t next_ns = tcp_next_timer_ns(engine), reclaim_ns = engine->now_ns + RECLAIM_NS;

    if (epochs_hold_any(&engine->epochs) && reclaim_ns < next_ns)
        next_ns = reclaim_ns;
    if (engine->next_second_ns < next_ns && engine->index == 0)
        next_ns = engine->next_second_ns;
    return next_ns < deadline_ns ? next_ns : deadline_ns;
}

static void sleep_until(struct tcp_engine *engine, uint64_t deadline_ns)
{
    bool is_idle = engine->now_ns - engine->last_active_ns >= IDLE_NS;

    if (is_idle && deadline_ns > engine->now_ns && !engine->base.options.busy_poll)
        engine->port->ops->wait(engine->port, next_look_ns(engine, deadline_ns));
    waker_end_sleep(&engine->base.waker);
}

uint64_t tcp_turn(struct engine *base, uint64_t deadline_ns)
{
    struct tcp_engine *engine = tcp_of(base);
    bool more_timers;

    engine->handled = false;
    engine->is_short = false;
    read_clock(engine);
    tcp_report_ends(engine);
    tcp_take_news(engine);
    more_timers = tcp_run_delays(engine);
    receive_all(engine); /* an acknowledgement that has come while others were served is not late */
    more_timers |= tcp_run_deadlines(engine);
    serve(engine);
    output_flush(engine);
    read_clock(engine);
    uint64_t looked_ns = engine->now_ns;
    if (receive_all(engine) && !more_timers)
        engine->reported_until_ns = looked_ns;
    report_wake(engine);
    once_per_second(engine);
    output_flush(engine);
    let_go(engine);
    if (engine->handled || more_timers || engine->queue_first != NO_SLOT || engine->todo.count > 0)
        engine->last_active_ns = engine->now_ns;
    sleep_until(engine, deadline_ns);
    return engine->reported_until_ns;
}
