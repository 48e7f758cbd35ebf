/* Timers of connections: entering wheels, and what happens when a deadline comes. */
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/recovery.h"

/* Most wheel entries that one turn handles. */
#define ENTRIES_PER_TURN 1024
/* Most entries that a connection has in one wheel: a deadline that comes earlier needs another entry than the one before. */
#define MAX_ENTRIES 3
#define NEAR_TICKS  TICKS_OF_MS(60)
#define ACK_DELAY   TICKS_OF_MS(40)
/* A peer that has not acknowledged anything for so long is given up. */
#define GIVE_UP_TICKS TICKS_OF_MS(100000)
/* RFC 8985, 7.2: how long a peer may delay the acknowledgement of a single segment. */
#define PEER_ACK_DELAY TICKS_OF_MS(200)
/* Segments of 1,220 bytes of payload (1,200 over IPv6) fit nearly everywhere: RFC 8200, 5. */
#define SAFE_MSS_CLASS 1
#define SAFE_TIMEOUTS  2

static uint32_t entry_of(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    return tcp_slot(engine, connection) | (uint32_t)connection->generation << TABLE_SLOT_BITS;
}

/*
 * A connection remembers in base.note when the earliest of its entries that count is due, in units of the far wheel: most deadlines move to a
 * later time, and the entry that is there finds that out.
 */
#define NOTE_VALID 0x8000u
#define NOTE_MASK  0x7fffu

static uint32_t unit_of(uint32_t ticks)
{
    return ticks >> FAR_SHIFT & NOTE_MASK;
}

/* True if the unit `a` lies before `b`. */
static bool is_unit_before(uint32_t a, uint32_t b)
{
    return ((a - b) & NOTE_MASK) > NOTE_MASK / 2;
}

/* Sees to it that the connection is looked at when its deadline comes. */
static void enter(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint32_t left = connection->deadline - engine->now, unit = unit_of(connection->deadline), due;
    bool is_near = left <= NEAR_TICKS;

    if ((connection->base.note & NOTE_VALID) != 0 && !is_unit_before(unit, connection->base.note & NOTE_MASK))
        return;
    if (is_near && connection->near_count < MAX_ENTRIES) {
        connection->near_count = (connection->near_count + 1u) & 3;
        due =
            wheel_add(&engine->near_wheel, connection->deadline + (1u << engine->near_wheel.shift), entry_of(engine, connection));
    } else if (!is_near && connection->far_count < MAX_ENTRIES) {
        connection->far_count = (connection->far_count + 1u) & 3;
        due = wheel_add(&engine->far_wheel, connection->deadline, entry_of(engine, connection));
    } else {
        return; /* one of the entries that are there is late for this deadline */
    }
    if (sequence_before(due, connection->deadline)) /* taken early, because the wheel stands behind: it counts until then only */
        unit = unit_of(due);
    connection->base.note = (uint16_t)(NOTE_VALID | unit);
}

/* An entry was taken: if it was the earliest, none counts any more. */
static void leave(const struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (!is_unit_before(unit_of(engine->now), connection->base.note & NOTE_MASK))
        connection->base.note = 0;
}

static void arm(struct tcp_engine *engine, struct tcp_connection *connection, enum tcp_timer timer, uint32_t ticks)
{
    connection->timer = timer & 7;
    connection->deadline = engine->now + ticks;
    enter(engine, connection);
}

static bool may_probe(const struct tcp_connection *connection)
{
    return connection->sack && connection->srtt > 0 && !connection->recovering && !connection->probe_out &&
           connection->recovery == NO_SLOT;
}

/* RFC 8985, 7.2. */
static uint32_t probe_ticks(const struct tcp_connection *connection)
{
    return 2 * connection->srtt + (tcp_unacknowledged(connection) <= tcp_mss(connection) ? PEER_ACK_DELAY : 0);
}

static void arm_for_flight(struct tcp_engine *engine, struct tcp_connection *connection, bool restart)
{
    uint32_t timeout = congestion_timeout(connection), reorder = recovery_reorder_ticks(engine, connection);
    uint32_t probe = probe_ticks(connection);

    if (reorder > 0) {
        arm(engine, connection, TIMER_REORDER, reorder);
        return;
    }
    if (may_probe(connection) && probe < timeout)
        arm(engine, connection, TIMER_PROBE, probe);
    else if (restart || connection->timer != TIMER_RTO)
        arm(engine, connection, TIMER_RTO, timeout);
}

void tcp_set_deadline(struct tcp_engine *engine, struct tcp_connection *connection, bool restart)
{
    if (connection->una != connection->nxt)
        arm_for_flight(engine, connection, restart);
    else if (!connection->base.blocked)
        connection->timer = TIMER_NONE;
    else if (restart || connection->timer != TIMER_PERSIST)
        arm(engine, connection, TIMER_PERSIST, congestion_timeout(connection));
}

/* --- deadlines that have come --- */

static void give_up(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->is_failed = true;
    tcp_todo(engine, connection);
}

static void lower_mss(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->backoff < SAFE_TIMEOUTS || connection->mss_class <= SAFE_MSS_CLASS ||
        tcp_unacknowledged(connection) < tcp_mss(connection))
        return;
    connection->mss_class = SAFE_MSS_CLASS;
    counter_add(&engine->counters.mtu_reductions, 1);
}

static void on_time_out(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (engine->now - connection->last_advance >= GIVE_UP_TICKS) {
        give_up(engine, connection);
        return;
    }
    if (connection->backoff < UINT8_MAX)
        connection->backoff++;
    lower_mss(engine, connection);
    recovery_time_out(engine, connection);
    tcp_set_deadline(engine, connection, true);
    tcp_unblock(engine, connection);
}

/* New bytes are the better probe: they tell the same, and are of use. */
static void on_probe(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->probe_out = true;
    connection->probe_is_new = true;
    if (tcp_send_beyond_window(engine, connection))
        connection->recovery_point = connection->nxt;
    else if (!connection->base.dead)
        recovery_probe(engine, connection);
    if (!connection->base.dead)
        arm(engine, connection, TIMER_RTO, congestion_timeout(connection));
}

static void on_persist(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (engine->now - connection->last_advance >= GIVE_UP_TICKS) {
        give_up(engine, connection);
        return;
    }
    counter_add(&engine->counters.zero_window_probes, 1);
    output_bare(engine, connection, connection->una - 1, TCP_ACK);
    if (connection->backoff < UINT8_MAX)
        connection->backoff++;
    tcp_set_deadline(engine, connection, true);
}

static void on_deadline(struct tcp_engine *engine, struct tcp_connection *connection)
{
    enum tcp_timer timer = connection->timer;

    connection->timer = TIMER_NONE;
    switch (timer) {
    case TIMER_NONE:
        break;
    case TIMER_RTO:
        on_time_out(engine, connection);
        break;
    case TIMER_PROBE:
        on_probe(engine, connection);
        break;
    case TIMER_REORDER:
        recovery_reorder_time_out(engine, connection);
        tcp_unblock(engine, connection);
        tcp_set_deadline(engine, connection, true);
        break;
    case TIMER_PERSIST:
        on_persist(engine, connection);
        break;
    }
}

/*
 * Plain acknowledgements leave the deadline as it is, although time-outs and probes begin anew with each of them: that is made good here, once
 * per deadline.
 */
static void put_off(struct tcp_connection *connection)
{
    uint32_t ticks = congestion_timeout(connection), due;

    if (connection->timer != TIMER_RTO && connection->timer != TIMER_PROBE)
        return;
    if (connection->timer == TIMER_PROBE && probe_ticks(connection) < ticks)
        ticks = probe_ticks(connection);
    due = connection->last_advance + ticks;
    if (sequence_after(due, connection->deadline))
        connection->deadline = due;
}

static void look(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->base.dead || connection->timer == TIMER_NONE)
        return;
    put_off(connection);
    if (sequence_before(engine->now, connection->deadline))
        enter(engine, connection);
    else
        on_deadline(engine, connection);
}

/* --- wheels --- */

/* The connection of an entry; NULL if that has ended. */
static struct tcp_connection *entered(struct tcp_engine *engine, uint32_t entry)
{
    struct tcp_connection *connection = slab_element(&engine->slots, entry & TABLE_SLOT_MASK);

    return connection->generation == entry >> TABLE_SLOT_BITS && !connection->reported ? connection : NULL;
}

static void on_near(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->near_count = (connection->near_count - 1u) & 3;
    leave(engine, connection);
    look(engine, connection);
}

static void on_far(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->far_count = (connection->far_count - 1u) & 3;
    leave(engine, connection);
    look(engine, connection);
}

static void on_paced(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->is_paced = false;
    if (!connection->base.dead && !connection->base.queued)
        tcp_enqueue(engine, connection);
}

static void on_delayed_ack(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->in_ack_wheel = false;
    if (connection->base.dead || connection->receive_acked == connection->receive_next)
        return;
    if (!output_bare(engine, connection, connection->nxt, TCP_ACK))
        tcp_delay_ack(engine, connection);
}

/* Takes the entries that are due, at most `left`. Returns how many more may be taken in this turn. */
static unsigned run(struct tcp_engine *engine, struct wheel *wheel, unsigned left,
                    void (*on_entry)(struct tcp_engine *engine, struct tcp_connection *connection))
{
    uint32_t entry;

    for (; left > 0 && wheel_take(wheel, engine->now, &entry); left--) {
        struct tcp_connection *connection = entered(engine, entry);

        if (connection)
            on_entry(engine, connection);
    }
    return left;
}

bool tcp_run_delays(struct tcp_engine *engine)
{
    unsigned left = run(engine, &engine->pace_wheel, ENTRIES_PER_TURN, on_paced);

    return run(engine, &engine->ack_wheel, left, on_delayed_ack) == 0;
}

bool tcp_run_deadlines(struct tcp_engine *engine)
{
    unsigned left = run(engine, &engine->near_wheel, ENTRIES_PER_TURN, on_near);

    return run(engine, &engine->far_wheel, left, on_far) == 0;
}

void tcp_pace(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t ticks)
{
    uint32_t span = wheel_span(&engine->pace_wheel);

    connection->is_paced = true;
    wheel_add(&engine->pace_wheel, engine->now + (ticks < span ? ticks : span), entry_of(engine, connection));
}

void tcp_delay_ack(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->in_ack_wheel)
        return;
    connection->in_ack_wheel = true;
    wheel_add(&engine->ack_wheel, engine->now + ACK_DELAY, entry_of(engine, connection));
}

uint64_t tcp_next_timer_ns(const struct tcp_engine *engine)
{
    const struct wheel *wheels[] = {&engine->near_wheel, &engine->far_wheel, &engine->pace_wheel, &engine->ack_wheel};
    uint64_t next_ns = CLOCK_NEVER;

    for (unsigned i = 0; i < sizeof wheels / sizeof wheels[0]; i++) {
        uint32_t due;

        if (!wheel_next(wheels[i], &due))
            continue;
        uint64_t ns =
            sequence_after(due, engine->now) ? engine->now_ns + ((uint64_t)(due - engine->now) << TICK_SHIFT) : engine->now_ns;
        next_ns = ns < next_ns ? ns : next_ns;
    }
    return next_ns;
}
