#include "shard/lag.h"

#include "flashrelay/histogram.h"
#include "flashrelay/log.h"
#include "shard/internal.h"
#include "shard/session.h"

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

static void watch(struct shard *shard, struct subscriber *subscriber)
{
    subscriber->blocked_at = channel_head(shard->options.channel);
    subscriber->blocked_since_ns = shard->now_ns;
    timer_start(&shard->blocked, &subscriber->blocked, shard->now_ns);
    count_watched(shard, 1);
}

void lag_forget(struct shard *shard, struct subscriber *subscriber)
{
    if (!timer_is_running(&subscriber->blocked))
        return;
    timer_stop(&subscriber->blocked);
    count_watched(shard, -1);
}

/* Frames published since it last kept up: what it has taken since counts for it. */
static uint64_t lag_of(const struct shard *shard, const struct subscriber *subscriber)
{
    uint64_t head = channel_head(shard->options.channel);
    uint64_t last_taken = subscriber->next_untaken - 1;
    uint64_t from = last_taken > subscriber->blocked_at ? last_taken : subscriber->blocked_at;

    return head > from ? head - from : 0;
}

/* Cuts it off if it is too far behind; true if it did. Within the grace that is put off. */
static bool judge(struct shard *shard, struct subscriber *subscriber, uint64_t lag)
{
    uint64_t grace_end_ns = subscriber->blocked_since_ns + SHARD_LAG_GRACE_NS;

    if (shard->options.message_buffer_size == 0 || lag <= shard->options.message_buffer_size || !subscriber->connection->blocked)
        return false;
    if (grace_end_ns > shard->now_ns) {
        shard->lag_look_ns = grace_end_ns < shard->lag_look_ns ? grace_end_ns : shard->lag_look_ns;
        return false;
    }
    cut_off(shard, subscriber, DISCONNECT_LAGGED, "too many messages behind");
    return true;
}

void lag_progressed(struct shard *shard, struct subscriber *subscriber, uint64_t taken_bytes)
{
    bool watched = timer_is_running(&subscriber->blocked);

    if (!watched && !subscriber->connection->blocked)
        return;
    if (!watched)
        watch(shard, subscriber);
    else if (subscriber->connection->extent_count == 0)
        lag_forget(shard, subscriber);
    else if (!judge(shard, subscriber, lag_of(shard, subscriber)) && taken_bytes > 0)
        timer_start(&shard->blocked, &subscriber->blocked, shard->now_ns);
}

/* --- once a turn --- */

/* Everybody watched, whenever something new was published or a grace ends. */
static void look_at_all(struct shard *shard)
{
    uint64_t head = channel_head(shard->options.channel);
    bool is_new = head != shard->lag_head;

    if (!is_new && shard->now_ns < shard->lag_look_ns)
        return;
    shard->lag_head = head;
    shard->lag_look_ns = CLOCK_NEVER;
    for (struct list_node *node = shard->blocked.timers.next, *next; node != &shard->blocked.timers; node = next) {
        struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, blocked.node);
        uint64_t lag = lag_of(shard, subscriber);

        next = node->next;
        if (is_new)
            histogram_record(&shard->counters.lag_frames, lag, 1);
        judge(shard, subscriber, lag);
    }
}

/* Who is not blocked any more only waits for its turn, which is not its fault. */
static void end_send_time(struct shard *shard, struct timer *timer)
{
    struct subscriber *subscriber = LIST_ENTRY(timer, struct subscriber, blocked);

    timer_start(&shard->blocked, timer, shard->now_ns);
    if (subscriber->connection->blocked)
        cut_off(shard, subscriber, DISCONNECT_SEND_TIMEOUT, "took nothing for too long");
}

void lag_turn(struct shard *shard)
{
    struct timer *timer;

    look_at_all(shard);
    while ((timer = timer_queue_take_ended(&shard->blocked, shard->now_ns)))
        end_send_time(shard, timer);
}

uint64_t lag_deadline(const struct shard *shard)
{
    uint64_t send_ns = timer_queue_deadline(&shard->blocked);

    return send_ns < shard->lag_look_ns ? send_ns : shard->lag_look_ns;
}

/* --- the floor --- */

/*
 * Whoever refuses a frame below the floor, or keeps one after taking it. Who was only not offered it yet, or not served, is the shard's
 * backlog: it is served in this round, and found here if it refuses.
 */
static bool holds_up(const struct subscriber *subscriber, uint64_t floor)
{
    const struct connection *connection = subscriber->connection;

    return (connection->blocked && subscriber->next_untaken < floor) || connection->pinned_sequence < floor;
}

/* Closing drops all that has not begun; who still touches a frame below the floor then is aborted, as is who was closing already. */
void lag_cut_below(struct shard *shard, uint64_t floor)
{
    for (uint32_t i = shard->open_count; i-- > 0;)
        if (holds_up(shard->open[i], floor))
            cut_off(shard, shard->open[i], DISCONNECT_LOG_FLOOR, "too slow for the log");
    for (struct list_node *node = shard->closing.timers.next, *next; node != &shard->closing.timers; node = next) {
        struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, timer.node);

        next = node->next;
        if (subscriber->connection->held_sequence < floor)
            subscriber_abort(shard, subscriber);
    }
}
