#include "shard/lag.h"

#include "flashrelay/histogram.h"
#include "flashrelay/log.h"
#include "shard/internal.h"
#include "shard/lag_rule.h"
#include "shard/session.h"

/* Most subscribers that each search of a turn cuts off, or checks for pinned frames; others are served before the next turn continues. */
#define CUTS_PER_TURN       256
#define PIN_CHECKS_PER_TURN 1024

/* --- cutting off --- */

static void cut_off(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause, const char *reason)
{
    char address[ADDRESS_TEXT_BYTES];

    log_line(LOG_INFO, "shard", "subscriber %s is cut off: %s", ip_address_format(&subscriber->request.ip, address), reason);
    session_close(shard, subscriber, cause, WS_CLOSE_TRY_AGAIN_LATER, reason);
}

/* --- watching --- */

static void count_watched(struct shard *shard, int change)
{
    counter_add(&shard->counters.blocked_subscribers, (uint64_t)change);
}

/*
 * The time of a refusal is kept in units of 1.024 us, modulo 2^32: it comes round after 73 minutes, and then the grace time begins anew. It is
 * rounded up, so that no grace time is short.
 */
#define SINCE_SHIFT 10

static uint64_t blocked_since_ns(const struct shard *shard, const struct subscriber *subscriber)
{
    uint64_t next = (shard->now_ns >> SINCE_SHIFT) + 1;

    return (next - (uint32_t)((uint32_t)next - subscriber->blocked_since)) << SINCE_SHIFT;
}

/* The channel's head at the refusal: it lies less than 2^32 before the present one. */
static uint64_t blocked_at_head(const struct subscriber *subscriber, uint64_t head)
{
    return head - (uint32_t)((uint32_t)head - subscriber->blocked_at_head);
}

static void watch(struct shard *shard, struct subscriber *subscriber)
{
    subscriber->blocked_at_head = (uint32_t)channel_head(shard_fanout_of(shard, subscriber)->channel);
    subscriber->blocked_since = (uint32_t)((shard->now_ns >> SINCE_SHIFT) + 1);
    timer_start(&shard->blocked, &subscriber->blocked, shard->now_ns);
    count_watched(shard, 1);
}

void lag_stop_watching(struct shard *shard, struct subscriber *subscriber)
{
    if (!timer_is_running(&subscriber->blocked))
        return;
    timer_stop(&subscriber->blocked);
    count_watched(shard, -1);
}

/* How many frames of the subscriber's selection were published since it refused bytes and are not taken yet. */
static uint64_t lag_of(struct shard *shard, const struct subscriber *subscriber)
{
    const struct channel *channel = shard_fanout_of(shard, subscriber)->channel;
    uint64_t head = channel_head(channel), from = blocked_at_head(subscriber, head) + 1;

    if (subscriber->next_untaken > from)
        from = subscriber->next_untaken;
    return channel_count_frames(channel, channel_selection(channel, subscriber->selection), from, head + 1);
}

/* Cuts the subscriber off if it is too far behind, and then returns true. Within the grace time the decision is put off. */
static bool cut_off_if_behind(struct shard *shard, struct subscriber *subscriber, uint64_t frames, uint64_t events_until_ns)
{
    const struct lag_limit limit = {.frames = shard->options.message_buffer_size, .grace_ns = SHARD_LAG_GRACE_NS};
    const struct lag_state state = {
        .blocked = subscriber->connection->blocked, .blocked_since_ns = blocked_since_ns(shard, subscriber), .frames = frames};
    uint64_t grace_end_ns = state.blocked_since_ns + SHARD_LAG_GRACE_NS;

    switch (lag_decide(&limit, &state, events_until_ns)) {
    case LAG_KEEP:
        return false;
    case LAG_DECIDE_LATER:
        shard->next_lag_check_ns = grace_end_ns < shard->next_lag_check_ns ? grace_end_ns : shard->next_lag_check_ns;
        return false;
    case LAG_CUT_OFF:
        break;
    }
    cut_off(shard, subscriber, DISCONNECT_LAGGED, "too many messages behind");
    return true;
}

/* Bytes taken or acknowledged start the subscriber's send time-out anew. */
void lag_progressed(struct shard *shard, struct subscriber *subscriber, const struct engine_progress *progress)
{
    bool watched = timer_is_running(&subscriber->blocked);

    if (!watched && !subscriber->connection->blocked)
        return;
    if (!watched)
        watch(shard, subscriber);
    else if (!engine_has_unsent(subscriber->connection))
        lag_stop_watching(shard, subscriber);
    else if (!cut_off_if_behind(shard, subscriber, lag_of(shard, subscriber), shard->now_ns) &&
             progress->bytes + progress->acknowledged > 0)
        timer_start(&shard->blocked, &subscriber->blocked, shard->now_ns);
}

/* --- once per turn --- */

/* Checks all watched subscribers, whenever something new was published or a grace time has ended. */
static void check_watched(struct shard *shard)
{
    bool is_new[SHARD_MAX_CHANNELS], any_is_new = false;

    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        uint64_t head = channel_head(shard->fanouts[i].channel);

        is_new[i] = head != shard->lag_checked_heads[i];
        any_is_new |= is_new[i];
        shard->lag_checked_heads[i] = head;
    }
    if (!any_is_new && shard->events_until_ns < shard->next_lag_check_ns)
        return;
    shard->next_lag_check_ns = CLOCK_NEVER;
    unsigned left = CUTS_PER_TURN;
    for (struct list_node *node = shard->blocked.timers.next, *next; node != &shard->blocked.timers; node = next) {
        struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, blocked.node);
        uint64_t lag = lag_of(shard, subscriber);

        next = node->next;
        if (is_new[subscriber->channel])
            histogram_record(&shard->counters.lag_frames, lag, 1);
        if (left > 0)
            left -= cut_off_if_behind(shard, subscriber, lag, shard->events_until_ns);
    }
    if (left == 0)
        shard->next_lag_check_ns = shard->events_until_ns; /* the next turn continues: more of them may be too far behind */
}

/* Cuts the subscriber off if it is blocked. One that is not blocked any more only waits to be served, which is not its fault. */
static void on_send_timeout(struct shard *shard, struct timer *timer)
{
    struct subscriber *subscriber = LIST_ENTRY(timer, struct subscriber, blocked);

    timer_start(&shard->blocked, timer, shard->now_ns);
    if (subscriber->connection->blocked)
        cut_off(shard, subscriber, DISCONNECT_SEND_TIMEOUT, "took nothing for too long");
}

void lag_turn(struct shard *shard)
{
    struct timer *timer;

    check_watched(shard);
    for (unsigned left = CUTS_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->blocked, shard->events_until_ns));
         left--)
        on_send_timeout(shard, timer);
}

uint64_t lag_deadline(const struct shard *shard)
{
    uint64_t send_ns = timer_queue_deadline(&shard->blocked);

    return send_ns < shard->next_lag_check_ns ? send_ns : shard->next_lag_check_ns;
}

/* --- cutting off below the floor --- */

/*
 * True if the subscriber refuses a frame below the floor, or keeps one pinned after taking it. One that was not offered the frame yet, or
 * not served, belongs to the shard's backlog: it is offered the frame in this round and served, and found here if it then refuses.
 */
static bool keeps_frame_below(const struct subscriber *subscriber, uint64_t floor)
{
    const struct connection *connection = subscriber->connection;

    return connection->held_sequence < floor && (connection->blocked || connection->pinned_sequence < floor);
}

/* Cuts off watched subscribers. Every subscriber that has refused a frame below the floor is watched. */
static unsigned cut_watched(struct shard *shard, const struct fanout *fanout, uint64_t floor, unsigned left)
{
    for (struct list_node *node = shard->blocked.timers.next, *next; node != &shard->blocked.timers && left > 0; node = next) {
        struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, blocked.node);

        next = node->next;
        if (shard_fanout_of(shard, subscriber) != fanout || !keeps_frame_below(subscriber, floor))
            continue;
        cut_off(shard, subscriber, DISCONNECT_LOG_FLOOR, "too slow for the log");
        left--;
    }
    return left;
}

/* Aborts closing subscribers, also those just cut off, that still hold a frame below the floor: only a reset makes them let go of it. */
static void abort_closing(struct shard *shard, const struct fanout *fanout, uint64_t floor)
{
    unsigned left = CUTS_PER_TURN;

    for (struct list_node *node = shard->closing.timers.next, *next; node != &shard->closing.timers && left > 0; node = next) {
        struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, timer.node);

        next = node->next;
        if (shard_fanout_of(shard, subscriber) != fanout || subscriber->connection->held_sequence >= floor)
            continue;
        subscriber_abort(shard, subscriber);
        left--;
    }
}

/*
 * Cuts off subscribers that keep a frame pinned without having refused bytes since they took it. They are in no list, so open subscribers
 * are searched, at most PIN_CHECKS_PER_TURN per turn, as long as a frame below the floor is held after the watched ones were cut off.
 */
static unsigned cut_pinned(struct shard *shard, struct fanout *fanout, uint64_t floor, unsigned left)
{
    for (unsigned checks = PIN_CHECKS_PER_TURN; checks > 0 && left > 0 && holds_lowest(&fanout->holds) < floor; checks--) {
        if (fanout->open_count == 0)
            return left;
        struct subscriber *subscriber = fanout_open_at(fanout, fanout->pin_search_place++ % fanout->open_count);

        fanout->pin_search_left -= fanout->pin_search_left > 0;
        if (subscriber->connection->pinned_sequence >= floor)
            continue;
        cut_off(shard, subscriber, DISCONNECT_LOG_FLOOR, "too slow for the log");
        left--;
    }
    return left;
}

/* Cutting off drops all frames that have not begun; subscribers that still hold a frame below the floor are then aborted. */
void lag_cut_below(struct shard *shard, struct fanout *fanout, uint64_t floor)
{
    unsigned left = cut_watched(shard, fanout, floor, CUTS_PER_TURN);

    if (fanout->floor != floor)
        fanout->pin_search_left = fanout->open_count;
    fanout->floor = floor;
    left = cut_pinned(shard, fanout, floor, left);
    abort_closing(shard, fanout, floor);
    if (left == 0 || (fanout->pin_search_left > 0 && holds_lowest(&fanout->holds) < floor))
        shard->next_lag_check_ns = shard->events_until_ns; /* the next turn continues */
}
