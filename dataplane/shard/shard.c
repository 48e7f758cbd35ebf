#include "flashrelay/shard.h"

#include "flashrelay/http.h"
#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/lag.h"
#include "shard/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Connections that the engine may bring between its being told to pause and its doing so, and at the end of the listener. */
#define SPARE_SLOTS 1024
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

    if (connection->extent_count > 0 && !connection->extents[0].channel)
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
    fanout_progressed(shard, subscriber, progress);
    if (subscriber->state != SUBSCRIBER_OPEN)
        return;
    if (!subscriber->answered)
        note_answered(shard, subscriber);
    lag_progressed(shard, subscriber, progress->bytes);
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

static void take_answers(struct shard *shard)
{
    struct admission *admission = shard->options.admission;
    struct admission_request *request, *next;

    if (!admission)
        return;
    for (request = admission_queue_take(&admission->answers[shard->options.index]); request; request = next) {
        next = request->next;
        subscriber_answered(shard, LIST_ENTRY(request, struct subscriber, request));
    }
}

static void end_timers(struct shard *shard)
{
    struct timer *timer;

    while ((timer = timer_queue_take_ended(&shard->handshaking, shard->now_ns)))
        handshake_time_out(shard, LIST_ENTRY(timer, struct subscriber, timer));
    while ((timer = timer_queue_take_ended(&shard->pongs, shard->now_ns)))
        session_close(shard, LIST_ENTRY(timer, struct subscriber, pong), DISCONNECT_PONG_TIMEOUT, WS_CLOSE_INTERNAL_ERROR,
                      "no pong in time");
    while ((timer = timer_queue_take_ended(&shard->pings, shard->now_ns)))
        session_ping(shard, LIST_ENTRY(timer, struct subscriber, timer));
    while ((timer = timer_queue_take_ended(&shard->closing, shard->now_ns)))
        subscriber_abort(shard, LIST_ENTRY(timer, struct subscriber, timer));
}

static void cut_below_floor(struct shard *shard)
{
    uint64_t floor = channel_floor(shard->options.channel);

    if (floor > holds_lowest(&shard->holds))
        lag_cut_below(shard, floor);
}

void shard_turn(struct shard *shard, uint64_t deadline_ns)
{
    uint64_t own_deadline_ns;

    engine_prepare_sleep(shard->engine);
    own_deadline_ns = shard_next_deadline(shard); /* the look after the announcement */
    engine_turn(shard->engine, own_deadline_ns < deadline_ns ? own_deadline_ns : deadline_ns);
    shard->now_ns = engine_now(shard->engine);
    take_answers(shard);
    end_timers(shard);
    fanout_turn(shard);
    lag_turn(shard);
    cut_below_floor(shard);
    drain_turn(shard);
    fanout_publish_mark(shard);
}

static bool has_answers(const struct shard *shard)
{
    const struct admission *admission = shard->options.admission;

    return admission && !admission_queue_is_empty(&admission->answers[shard->options.index]);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

uint64_t shard_next_deadline(const struct shard *shard)
{
    uint64_t deadline_ns = drain_deadline(shard);

    if (fanout_is_due(shard) || has_answers(shard))
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

static size_t open_list_bytes(const struct shard *shard)
{
    return slots(&shard->options) * sizeof(struct subscriber *);
}

/* Mapped for the most there can be, touched as far as there are. */
static int map_open_list(struct shard *shard)
{
    void *memory = mmap(NULL, open_list_bytes(shard), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    shard->open = memory;
    return 0;
}

static int create_memory(struct shard *shard)
{
    uint32_t count = slots(&shard->options);
    int error = holds_init(&shard->holds, SHARD_MAX_CHANNEL_ENTRIES);

    if (error == 0)
        error = slab_init(&shard->subscribers, sizeof(struct subscriber), count, UINT32_MAX);
    if (error == 0)
        error = slab_init(&shard->heads, HTTP_MAX_REQUEST_BYTES, SHARD_MAX_HANDSHAKES + SPARE_SLOTS, KEPT_HEADS);
    if (error == 0)
        error = slab_init(&shard->readers, sizeof(struct ws_reader), count, UINT32_MAX);
    return error == 0 ? map_open_list(shard) : error;
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
    error = create_memory(shard);
    if (error != 0) {
        shard_destroy(shard);
        return error;
    }
    init_timers(shard);
    fanout_init(shard);
    random_seed(&shard->random, options->seed);
    *out = shard;
    return 0;
}

void shard_destroy(struct shard *shard)
{
    if (!shard)
        return;
    if (shard->open)
        munmap(shard->open, open_list_bytes(shard));
    slab_dispose(&shard->readers);
    slab_dispose(&shard->heads);
    slab_dispose(&shard->subscribers);
    holds_dispose(&shard->holds);
    free(shard);
}

void shard_engine_options(struct shard *shard, struct engine_options *options)
{
    options->handler = &HANDLER;
    options->context = shard;
    options->holds = &shard->holds;
    options->max_connections = slots(&shard->options);
}

void shard_attach(struct shard *shard, struct engine *engine)
{
    assert(engine->options.sends_per_turn > 0);
    shard->engine = engine;
    shard->now_ns = engine_now(engine);
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
