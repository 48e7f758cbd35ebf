#include "flashrelay/shard.h"

#include "flashrelay/http.h"
#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/lag.h"
#include "shard/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Connections that the engine may bring between its being told to pause and its doing so, and at the end of the listener. */
#define SPARE_SLOTS 1024
/* What one turn works off of each kind, so that thousands at once keep nobody waiting. */
#define ANSWERS_PER_TURN  256
#define EXPIRIES_PER_TURN 256
/* Buffers of incomplete requests that keep their memory; a flood of them gives the rest back. */
#define KEPT_HEADS 16

const char *disconnect_cause_name(enum disconnect_cause cause)
{
    static const char *const NAMES[DISCONNECT_CAUSES] = {
        [DISCONNECT_PEER_CLOSED] = "peer_closed",
        [DISCONNECT_PEER_VANISHED] = "peer_vanished",
        [DISCONNECT_LAGGED] = "lagged",
        [DISCONNECT_LOG_FLOOR] = "log_floor",
        [DISCONNECT_SEND_TIMEOUT] = "send_timeout",
        [DISCONNECT_PONG_TIMEOUT] = "pong_timeout",
        [DISCONNECT_PROTOCOL_ERROR] = "protocol_error",
        [DISCONNECT_FLOOD] = "flood",
        [DISCONNECT_SHUTDOWN] = "shutdown",
    };

    return NAMES[cause];
}

/* --- what the engine tells --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct shard *shard = context;

    shard->now_ns = now_ns;
    subscriber_accept(shard, connection, peer);
}

/* The peer sends no more. It may still read, but a subscriber that can't answer is none. */
static void handle_peer_end(struct shard *shard, struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_CLOSING)
        return;
    subscriber_blame(shard, subscriber, DISCONNECT_PEER_VANISHED);
    subscriber_finish(shard, subscriber, NULL, 0, SUBSCRIBER_DROP_PENDING);
}

static size_t receive(struct shard *shard, struct subscriber *subscriber, uint8_t *bytes, size_t length)
{
    switch ((enum subscriber_state)subscriber->state) {
    case SUBSCRIBER_HANDSHAKE:
        return handshake_received(shard, subscriber, bytes, length);
    case SUBSCRIBER_ADMITTING:
        return 0;
    case SUBSCRIBER_OPEN:
        if (!subscriber->answered)
            return 0;
        session_received(shard, subscriber, bytes, length);
        return length;
    case SUBSCRIBER_CLOSING:
    case SUBSCRIBER_LEAVING:
        break;
    }
    return length;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct shard *shard = context;
    struct subscriber *subscriber = connection->owner;
    size_t consumed;

    shard->now_ns = now_ns;
    if (!subscriber)
        return length;
    if (length == 0) {
        handle_peer_end(shard, subscriber);
        return 0;
    }
    consumed = receive(shard, subscriber, bytes, length);
    if (subscriber->state == SUBSCRIBER_CLOSING)
        return length;
    subscriber->receive_paused = consumed < length;
    return consumed;
}

/* Once the peer has our 101 it may speak. */
static void note_answered(struct shard *shard, struct subscriber *subscriber)
{
    const struct connection *connection = subscriber->connection;

    if (engine_sends_control(connection))
        return;
    subscriber->answered = true;
    if (subscriber->receive_paused)
        engine_receive_resume(shard->engine, subscriber->connection);
    subscriber->receive_paused = false;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct shard *shard = context;
    struct subscriber *subscriber = connection->owner;

    shard->now_ns = now_ns;
    if (!subscriber || !subscriber->was_open)
        return;
    fanout_progressed(shard_fanout_of(shard, subscriber), subscriber, progress, now_ns);
    if (subscriber->state != SUBSCRIBER_OPEN)
        return;
    if (!subscriber->answered)
        note_answered(shard, subscriber);
    lag_progressed(shard, subscriber, progress);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct shard *shard = context;

    (void)error;
    shard->now_ns = now_ns;
    if (connection->owner)
        subscriber_closed(shard, connection->owner);
}

static void on_woken(void *context, uint64_t now_ns)
{
    struct shard *shard = context;

    shard->now_ns = now_ns;
}

static const struct engine_handler HANDLER = {
    .accepted = on_accepted,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

/* --- a turn --- */

/* At most ANSWERS_PER_TURN of what control has answered; the rest waits here, in its order. */
static void take_answers(struct shard *shard)
{
    struct admission *admission = shard->options.admission;

    if (!admission)
        return;
    for (unsigned left = ANSWERS_PER_TURN; left > 0; left--) {
        struct admission_request *request = shard->answers;

        if (!request)
            request = admission_queue_take(&admission->answers[shard->options.index]);
        if (!request)
            return;
        shard->answers = request->next;
        subscriber_answered(shard, LIST_ENTRY(request, struct subscriber, request));
    }
}

static void end_handshakes(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->handshaking, shard->now_ns));
         left--)
        handshake_time_out(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static void end_pongs(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pongs, shard->now_ns)); left--)
        session_close(shard, LIST_ENTRY(timer, struct subscriber, pong), DISCONNECT_PONG_TIMEOUT, WS_CLOSE_INTERNAL_ERROR,
                      "no pong in time");
}

static void end_pings(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->pings, shard->now_ns)); left--)
        session_ping(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static void end_closing(struct shard *shard)
{
    struct timer *timer;

    for (unsigned left = EXPIRIES_PER_TURN; left > 0 && (timer = timer_queue_take_ended(&shard->closing, shard->now_ns)); left--)
        subscriber_abort(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

/* What has ended and is beyond the limit is for the next turn, which does not sleep. */
static void end_timers(struct shard *shard)
{
    end_handshakes(shard);
    end_pongs(shard);
    end_pings(shard);
    end_closing(shard);
}

static void cut_below_floor(struct shard *shard)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        struct fanout *fanout = &shard->fanouts[i];
        uint64_t floor = channel_floor(fanout->channel);

        if (floor > holds_lowest(&fanout->holds))
            lag_cut_below(shard, fanout, floor);
    }
}

static void offer(struct shard *shard)
{
    uint64_t backlog = 0;

    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        fanout_turn(&shard->fanouts[i], &shard->random, shard->now_ns);
        backlog += fanout_backlog(&shard->fanouts[i]);
    }
    counter_set(&shard->counters.backlog_frames, backlog);
}

static bool is_offer_due(const struct shard *shard)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++)
        if (fanout_is_due(&shard->fanouts[i]))
            return true;
    return false;
}

/* The lowest frame that this shard may still touch in the channels of one set of marks. */
static uint64_t lowest_of(const struct shard *shard, const struct fanout_mark *mark)
{
    uint64_t lowest = CHANNEL_MARK_NONE;

    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        uint64_t own = shard->fanouts[i].mark == mark ? fanout_lowest(&shard->fanouts[i]) : CHANNEL_MARK_NONE;

        lowest = own < lowest ? own : lowest;
    }
    return lowest;
}

static void wake_publishers(struct shard *shard, const struct fanout_mark *mark)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++)
        if (shard->fanouts[i].mark == mark && channel_is_waiting(shard->fanouts[i].channel) &&
            shard->options.channels[i].publisher)
            waker_wake(shard->options.channels[i].publisher, engine_waker(shard->engine));
}

static void publish_marks(struct shard *shard)
{
    for (unsigned i = 0; i < shard->mark_count; i++) {
        struct fanout_mark *mark = &shard->marks[i];
        uint64_t lowest = lowest_of(shard, mark);

        if (lowest == mark->sequence)
            continue;
        mark->sequence = lowest;
        channel_mark_set(mark->marks, mark->reader, lowest);
        wake_publishers(shard, mark);
    }
}

struct subscriber *shard_pick_open(struct shard *shard)
{
    uint32_t place = (uint32_t)random_below(&shard->random, shard->open_count);
    const struct fanout *fanout = shard->fanouts;

    while (place >= fanout->open_count)
        place -= fanout++->open_count;
    return fanout_open_at(fanout, place);
}

void shard_turn(struct shard *shard, uint64_t deadline_ns)
{
    uint64_t own_deadline_ns;

    engine_prepare_sleep(shard->engine);
    own_deadline_ns = shard_next_deadline(shard); /* the look after the announcement */
    shard->now_ns = engine_turn(shard->engine, own_deadline_ns < deadline_ns ? own_deadline_ns : deadline_ns);
    take_answers(shard);
    end_timers(shard);
    offer(shard);
    lag_turn(shard);
    cut_below_floor(shard);
    drain_turn(shard);
    publish_marks(shard);
}

static bool has_answers(const struct shard *shard)
{
    const struct admission *admission = shard->options.admission;

    return admission && (shard->answers || !admission_queue_is_empty(&admission->answers[shard->options.index]));
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

uint64_t shard_next_deadline(const struct shard *shard)
{
    uint64_t deadline_ns = drain_deadline(shard);

    if (is_offer_due(shard) || has_answers(shard))
        return 0;
    deadline_ns = earlier(deadline_ns, timer_queue_deadline(&shard->handshaking));
    deadline_ns = earlier(deadline_ns, timer_queue_deadline(&shard->pings));
    deadline_ns = earlier(deadline_ns, timer_queue_deadline(&shard->pongs));
    deadline_ns = earlier(deadline_ns, timer_queue_deadline(&shard->closing));
    return earlier(deadline_ns, lag_deadline(shard));
}

/* --- life --- */

static uint32_t slots(const struct shard_options *options)
{
    return options->max_subscribers + SPARE_SLOTS;
}

/* Channels that share a set of marks share what the shard publishes there. */
static struct fanout_mark *find_mark(struct shard *shard, const struct shard_channel *channel)
{
    for (unsigned i = 0; i < shard->mark_count; i++)
        if (shard->marks[i].marks == channel->marks)
            return &shard->marks[i];
    struct fanout_mark *mark = &shard->marks[shard->mark_count++];
    *mark = (struct fanout_mark){.marks = channel->marks, .reader = channel->reader, .sequence = CHANNEL_MARK_NONE};
    return mark;
}

static int create_fanouts(struct shard *shard)
{
    int error = 0;

    for (unsigned i = 0; i < shard->options.channel_count && error == 0; i++) {
        const struct shard_channel *channel = &shard->options.channels[i];

        error = fanout_init(&shard->fanouts[i], channel->channel, find_mark(shard, channel), &shard->subscribers,
                            slots(&shard->options), &shard->counters);
    }
    return error;
}

static int create_memory(struct shard *shard)
{
    uint32_t count = slots(&shard->options);
    int error = slab_init(&shard->subscribers, sizeof(struct subscriber), count, UINT32_MAX);

    if (error == 0)
        error = handshake_places_create(&shard->places, SHARD_MAX_HANDSHAKES, SHARD_MAX_HANDSHAKES_PER_ADDRESS,
                                        random_next(&shard->random));
    if (error == 0)
        error = slab_init(&shard->heads, HTTP_MAX_REQUEST_BYTES, SHARD_MAX_HANDSHAKES + SPARE_SLOTS, KEPT_HEADS);
    if (error == 0)
        error = slab_init(&shard->readers, sizeof(struct ws_reader), count, UINT32_MAX);
    return error == 0 ? create_fanouts(shard) : error;
}

static void init_timers(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    uint64_t send_timeout_ns = options->client_send_timeout_ns;

    timer_queue_init(&shard->handshaking, SHARD_HANDSHAKE_TIMEOUT_NS);
    timer_queue_init(&shard->closing, SHARD_CLOSE_TIMEOUT_NS);
    timer_queue_init(&shard->pings, options->client_ping_interval_ns);
    timer_queue_init(&shard->pongs, options->client_pong_timeout_ns);
    timer_queue_init(&shard->blocked, send_timeout_ns > 0 ? send_timeout_ns : CLOCK_NEVER);
    shard->lag_look_ns = CLOCK_NEVER;
}

int shard_create(struct shard **out, const struct shard_options *options)
{
    void *memory;
    int error;

    if (posix_memalign(&memory, 64, sizeof(struct shard)) != 0)
        return -ENOMEM;
    struct shard *shard = memory;
    *shard = (struct shard){.options = *options};
    random_seed(&shard->random, options->seed);
    error = create_memory(shard);
    if (error != 0) {
        shard_destroy(shard);
        return error;
    }
    init_timers(shard);
    *out = shard;
    return 0;
}

void shard_destroy(struct shard *shard)
{
    if (!shard)
        return;
    for (unsigned i = 0; i < shard->options.channel_count; i++)
        fanout_dispose(&shard->fanouts[i]);
    handshake_places_destroy(shard->places);
    slab_dispose(&shard->readers);
    slab_dispose(&shard->heads);
    slab_dispose(&shard->subscribers);
    free(shard);
}

void shard_engine_options(struct shard *shard, struct engine_options *options)
{
    options->handler = &HANDLER;
    options->context = shard;
    options->max_connections = slots(&shard->options);
}

int shard_attach(struct shard *shard, struct engine *engine)
{
    int error = 0;

    assert(engine->options.sends_per_turn > 0);
    shard->engine = engine;
    shard->now_ns = engine_now(engine);
    for (unsigned i = 0; i < shard->options.channel_count && error == 0; i++)
        error = fanout_attach(&shard->fanouts[i], engine);
    return error;
}

void shard_drain(struct shard *shard)
{
    atomic_store_explicit(&shard->drain.asked, true, memory_order_seq_cst);
    waker_wake(engine_waker(shard->engine), NULL);
}

bool shard_is_drained(const struct shard *shard)
{
    return atomic_load_explicit(&shard->drain.finished, memory_order_acquire);
}

const struct shard_counters *shard_counters_get(const struct shard *shard)
{
    return &shard->counters;
}

size_t shard_subscriber_bytes(void)
{
    return sizeof(struct subscriber);
}
