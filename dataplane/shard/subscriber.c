#include "shard/subscriber.h"

#include "flashrelay/log.h"
#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/lag.h"
#include "shard/session.h"

#include <stdio.h>

#define PATH_TEXT_BYTES 128 /* in a log line; longer names of apps are cut */

/* Pauses accepting where slots run out or control has too many requests to answer; resumes once slots are free and at most half as many wait. */
static void update_accepting(struct shard *shard)
{
    uint32_t used = slab_used(&shard->subscribers);
    bool full = shard->admitting >= SHARD_MAX_HANDSHAKES || used >= shard->options.max_subscribers;
    bool roomy = shard->admitting <= SHARD_MAX_HANDSHAKES / 2 && used < shard->options.max_subscribers;
    bool paused = full || (shard->accept_paused && !roomy);

    if (paused == shard->accept_paused || shard->drain.running)
        return;
    shard->accept_paused = paused;
    engine_accept_pause(shard->engine, paused);
}

static void count_handshakes(struct shard *shard)
{
    counter_set(&shard->counters.handshaking, handshake_places_taken(shard->places) + shard->admitting);
    update_accepting(shard);
}

static void release(struct shard *shard, struct subscriber *subscriber)
{
    slab_give(&shard->subscribers, subscriber);
    update_accepting(shard);
}

/* The node for handshake_places while the request is read: that of the pong timer, which is not used then. */
static struct list_node *place_of(struct subscriber *subscriber)
{
    return &subscriber->pong.node;
}

/* Resets the connection whose place `victim` is, unless that is NULL. */
static void evict(struct shard *shard, struct list_node *victim)
{
    if (!victim)
        return;
    counter_add(&shard->counters.handshakes_evicted, 1);
    subscriber_abort(shard, LIST_ENTRY(victim, struct subscriber, pong.node));
}

static void enter_place(struct shard *shard, struct subscriber *subscriber)
{
    evict(shard, handshake_places_find_victim(shard->places, &subscriber->request.ip));
    handshake_places_enter(shard->places, &subscriber->request.ip, place_of(subscriber));
}

static void leave_place(struct shard *shard, struct subscriber *subscriber)
{
    handshake_places_leave(shard->places, &subscriber->request.ip, place_of(subscriber));
}

/*
 * Makes room for a new connection if slots or descriptors run out. The oldest closing connection is reset: refused and closing ones may linger,
 * but not keep others from being accepted. For a descriptor, where none is closing, an unfinished handshake is.
 */
static void make_room(struct shard *shard)
{
    struct list_node *oldest = list_first(&shard->closing.timers);
    bool descriptors_are_short = descriptor_budget_spare(shard->engine->options.descriptors) < 0;

    if (!descriptors_are_short && slab_used(&shard->subscribers) < shard->options.max_subscribers)
        return;
    if (oldest)
        subscriber_abort(shard, LIST_ENTRY(oldest, struct subscriber, timer.node));
    else if (descriptors_are_short)
        evict(shard, handshake_places_find_busiest(shard->places));
}

void subscriber_accept(struct shard *shard, struct connection *connection, const struct address *peer)
{
    struct subscriber *subscriber = slab_take(&shard->subscribers);

    connection->owner = subscriber;
    if (!subscriber) {
        engine_abort(shard->engine, connection);
        return;
    }
    *subscriber = (struct subscriber){
        .connection = connection,
        .open_index = SUBSCRIBER_NO_INDEX,
        .state = SUBSCRIBER_HANDSHAKE,
        .cause = DISCONNECT_CAUSES,
        .request = {.ip = peer->ip, .app = ADMISSION_NO_APP, .shard = (uint16_t)shard->options.index},
    };
    timer_init(&subscriber->blocked);
    timer_init(&subscriber->timer);
    timer_init(&subscriber->pong);
    timer_start(&shard->handshaking, &subscriber->timer, shard->now_ns);
    make_room(shard);
    enter_place(shard, subscriber);
    count_handshakes(shard);
}

void subscriber_begin_admission(struct shard *shard, struct subscriber *subscriber)
{
    leave_place(shard, subscriber);
    shard->admitting++;
    count_handshakes(shard);
    timer_start(&shard->handshaking, &subscriber->timer, shard->now_ns);
    subscriber->state = SUBSCRIBER_ADMITTING;
    subscriber->request_is_pending = true;
    subscriber->request.kind = ADMISSION_ENTER;
}

/* Undoes what belongs to the subscriber's state: timers, places, counts, memory. The caller then sets the new state, if any. */
static void leave_state(struct shard *shard, struct subscriber *subscriber)
{
    timer_stop(&subscriber->timer);
    switch ((enum subscriber_state)subscriber->state) {
    case SUBSCRIBER_HANDSHAKE:
        handshake_release_head(shard, subscriber);
        leave_place(shard, subscriber);
        count_handshakes(shard);
        break;
    case SUBSCRIBER_ADMITTING:
        shard->admitting--;
        count_handshakes(shard);
        break;
    case SUBSCRIBER_OPEN:
        fanout_leave(shard_fanout_of(shard, subscriber), subscriber, shard->now_ns);
        shard->open_count--;
        lag_stop_watching(shard, subscriber);
        session_release_reader(shard, subscriber);
        timer_stop(&subscriber->pong);
        break;
    case SUBSCRIBER_CLOSING:
    case SUBSCRIBER_LEAVING:
        break;
    }
}

/* Writes the path that was subscribed to, for a log line: an API key is shown as its app's name, a query not at all. */
static void describe_path(const struct shard *shard, const struct subscriber *subscriber, char text[PATH_TEXT_BYTES])
{
    const struct access_table *table = access_table_current(shard->options.access);
    const struct access_app *app = table ? access_table_app(table, subscriber->request.app) : NULL;

    if (subscriber->request.app == ADMISSION_NO_APP)
        snprintf(text, PATH_TEXT_BYTES, "%s", shard->options.any_path ? "any path" : "/ws");
    else if (app)
        snprintf(text, PATH_TEXT_BYTES, "/ws/%s", app->name);
    else
        snprintf(text, PATH_TEXT_BYTES, "/ws/ (app %u, which is gone)", subscriber->request.app);
}

/* Tools, which take any path, have output of their own. */
static enum log_level event_level(const struct shard *shard)
{
    return shard->options.any_path ? LOG_DEBUG : LOG_INFO;
}

static void log_connected(const struct shard *shard, const struct subscriber *subscriber)
{
    const struct ip_address *ip = &subscriber->request.ip;
    char address[ADDRESS_TEXT_BYTES], path[PATH_TEXT_BYTES];

    describe_path(shard, subscriber, path);
    log_event(event_level(shard), "shard", ip, sizeof *ip, "subscriber %s connected to %s", ip_address_format(ip, address), path);
}

static void log_disconnected(const struct shard *shard, const struct subscriber *subscriber)
{
    const struct ip_address *ip = &subscriber->request.ip;
    char address[ADDRESS_TEXT_BYTES], path[PATH_TEXT_BYTES];

    describe_path(shard, subscriber, path);
    log_event(event_level(shard), "shard", ip, sizeof *ip, "subscriber %s disconnected from %s: %s",
              ip_address_format(ip, address), path, disconnect_cause_name(subscriber->cause));
}

void subscriber_open(struct shard *shard, struct subscriber *subscriber)
{
    leave_state(shard, subscriber);
    subscriber->state = SUBSCRIBER_OPEN;
    subscriber->was_open = true;
    engine_set_selection(shard->engine, subscriber->connection, subscriber->selection);
    fanout_join(shard_fanout_of(shard, subscriber), subscriber);
    shard->open_count++;
    shard->now_ns = engine_now(shard->engine); /* its ping and pong timers start now, however long the turn has taken so far */
    if (shard->options.client_ping) {
        timer_start(&shard->pings, &subscriber->timer, shard->now_ns);
        timer_start(&shard->pongs, &subscriber->pong, shard->now_ns);
    }
    counter_add(&shard->counters.new_connections, 1);
    counter_add(&shard->counters.active_connections, 1);
    engine_serve(shard->engine, subscriber->connection);
    log_connected(shard, subscriber);
}

void subscriber_set_cause(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause)
{
    if (subscriber->cause != DISCONNECT_CAUSES || !subscriber->was_open)
        return;
    subscriber->cause = (uint8_t)cause;
    counter_add(&shard->counters.disconnects[cause], 1);
}

/* The frames from `from` on will not be sent. */
static void drop_frames(struct shard *shard, struct subscriber *subscriber, uint64_t from)
{
    const struct channel *channel;

    if (from >= subscriber->cursor)
        return;
    channel = shard_fanout_of(shard, subscriber)->channel;
    counter_add(&shard->counters.failed_messages,
                channel_count_frames(channel, channel_selection(channel, subscriber->selection), from, subscriber->cursor));
    subscriber->cursor = from;
}

static void begin_closing(struct shard *shard, struct subscriber *subscriber)
{
    leave_state(shard, subscriber);
    subscriber->state = SUBSCRIBER_CLOSING;
    shard->now_ns = engine_now(shard->engine); /* the peer's time to answer starts now */
    timer_start(&shard->closing, &subscriber->timer, shard->now_ns);
    if (subscriber->receive_paused)
        engine_receive_resume(shard->engine, subscriber->connection);
    subscriber->receive_paused = false;
}

void subscriber_finish(struct shard *shard, struct subscriber *subscriber, const void *last, size_t length,
                       enum subscriber_pending pending)
{
    struct connection *connection = subscriber->connection;
    uint64_t dropped_from;

    if (pending == SUBSCRIBER_DROP_PENDING) {
        /* Without our 101, which would be dropped, a close frame makes no sense to the peer. */
        if (subscriber->state == SUBSCRIBER_OPEN && !subscriber->upgrade_sent) {
            subscriber_abort(shard, subscriber);
            return;
        }
        engine_drop_unbegun(shard->engine, connection, &dropped_from);
        drop_frames(shard, subscriber, dropped_from);
    }
    begin_closing(shard, subscriber);
    if (length > 0)
        engine_append_bytes(shard->engine, connection, last, length); /* without memory for `last` it is left out */
    engine_serve(shard->engine, connection);
    engine_finish(shard->engine, connection);
}

void subscriber_abort(struct shard *shard, struct subscriber *subscriber)
{
    drop_frames(shard, subscriber, subscriber->next_untaken);
    if (subscriber->state != SUBSCRIBER_CLOSING)
        begin_closing(shard, subscriber);
    timer_stop(&subscriber->timer);
    engine_abort(shard->engine, subscriber->connection);
}

/* Frees the slot, once control has returned the request and taken back the place, which is asked for here. */
static void release_or_leave(struct shard *shard, struct subscriber *subscriber)
{
    if (subscriber->request_is_pending)
        return;
    if (!subscriber->admitted) {
        release(shard, subscriber);
        return;
    }
    subscriber->admitted = false;
    subscriber->request_is_pending = true;
    subscriber->request.kind = ADMISSION_LEAVE;
    admission_ask(shard->options.admission, &subscriber->request);
}

void subscriber_closed(struct shard *shard, struct subscriber *subscriber)
{
    drop_frames(shard, subscriber, subscriber->next_untaken);
    subscriber_set_cause(shard, subscriber, DISCONNECT_PEER_VANISHED);
    leave_state(shard, subscriber);
    subscriber->state = SUBSCRIBER_LEAVING;
    subscriber->connection = NULL;
    if (subscriber->was_open) {
        counter_add(&shard->counters.closed_connections, 1);
        counter_subtract(&shard->counters.active_connections, 1);
        log_disconnected(shard, subscriber);
    }
    release_or_leave(shard, subscriber);
}

void subscriber_on_admission_answer(struct shard *shard, struct subscriber *subscriber)
{
    subscriber->request_is_pending = false;
    if (subscriber->request.kind == ADMISSION_ENTER)
        subscriber->admitted = subscriber->request.verdict == ADMISSION_ADMITTED;
    if (subscriber->state == SUBSCRIBER_LEAVING)
        release_or_leave(shard, subscriber);
    else if (subscriber->state == SUBSCRIBER_ADMITTING && subscriber->admitted)
        subscriber_open(shard, subscriber);
    else if (subscriber->state == SUBSCRIBER_ADMITTING)
        handshake_refuse(shard, subscriber);
}
