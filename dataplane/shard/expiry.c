#include "shard/expiry.h"

#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/session.h"

/* What one turn ends of each kind, so that thousands at once keep nobody waiting. */
#define EXPIRIES_PER_TURN 256

static void end_handshakes(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->handshaking, shard->told_ns));
         left--)
        handshake_time_out(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static void end_pongs(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pongs, shard->told_ns)); left--)
        session_close(shard, LIST_ENTRY(timer, struct subscriber, pong), DISCONNECT_PONG_TIMEOUT, WS_CLOSE_INTERNAL_ERROR,
                      "no pong in time");
}

static void end_pings(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pings, shard->told_ns)); left--)
        session_ping(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static void end_closing(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->closing, shard->told_ns)); left--)
        subscriber_abort(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

/* What has ended and is beyond the limit is for the next turn, which does not sleep. */
void expiry_turn(struct shard *shard)
{
    end_handshakes(shard);
    end_pongs(shard);
    end_pings(shard);
    end_closing(shard);
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
