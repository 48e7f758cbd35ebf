#include "shard/expiry.h"

#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/session.h"

/* Most timers of each kind that one turn handles, so that thousands at once do not delay other subscribers. */
#define EXPIRIES_PER_TURN 256
/* A thread that handles an ended timer later than this after its deadline was held up: the machine gave it no processor time. */
#define HELD_UP_NS (100 * NS_PER_MS)

static void expire_handshakes(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN;
         left > 0 && (timer = timer_queue_take_ended(&shard->handshaking, shard->events_until_ns)); left--)
        handshake_time_out(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

/* True if the timer ended while the thread was held up: a subscriber that was pinged too late, or not at all, could not answer in time. */
static bool ended_while_held_up(const struct shard *shard, const struct timer *timer)
{
    return timer->deadline_ns <= shard->held_up_until_ns;
}

static void expire_pongs(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pongs, shard->events_until_ns));
         left--) {
        if (ended_while_held_up(shard, timer))
            timer_start(&shard->pongs, timer, shard->now_ns);
        else
            session_close(shard, LIST_ENTRY(timer, struct subscriber, pong), DISCONNECT_PONG_TIMEOUT, WS_CLOSE_INTERNAL_ERROR,
                          "no pong in time");
    }
}

static void expire_pings(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pings, shard->events_until_ns));
         left--) {
        struct subscriber *subscriber = LIST_ENTRY(timer, struct subscriber, timer);

        if (ended_while_held_up(shard, timer))
            timer_start(&shard->pongs, &subscriber->pong, shard->now_ns);
        session_ping(shard, subscriber);
    }
}

static void expire_closing(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->closing, shard->events_until_ns));
         left--)
        subscriber_abort(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

uint64_t expiry_deadline(const struct shard *shard)
{
    uint64_t deadline_ns = earlier(timer_queue_deadline(&shard->handshaking), timer_queue_deadline(&shard->closing));

    deadline_ns = earlier(deadline_ns, timer_queue_deadline(&shard->pings));
    return earlier(deadline_ns, timer_queue_deadline(&shard->pongs));
}

/* True if the thread comes to its next expiry more than HELD_UP_NS late. */
static bool was_held_up(const struct shard *shard)
{
    return shard->events_until_ns > HELD_UP_NS && shard->events_until_ns - HELD_UP_NS > shard->next_expiry_ns;
}

/* Ended timers beyond EXPIRIES_PER_TURN are left to the next turn, which does not sleep. */
void expiry_turn(struct shard *shard)
{
    uint64_t next_ns;

    if (was_held_up(shard))
        shard->held_up_until_ns = shard->events_until_ns;
    expire_handshakes(shard);
    expire_pongs(shard);
    expire_pings(shard);
    expire_closing(shard);
    next_ns = expiry_deadline(shard);
    shard->next_expiry_ns = next_ns > shard->events_until_ns ? next_ns : shard->events_until_ns;
}
