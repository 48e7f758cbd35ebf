#include "flashrelay/shard.h"

#include "flashrelay/http.h"
#include "shard/expiry.h"
#include "shard/internal.h"
#include "shard/lag.h"
#include "shard/marks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Slots for connections that the engine accepts after it was told to pause and before it does, and when the listener is stopped. */
#define SPARE_SLOTS 1024
/* Most answers of control that one turn handles, so that thousands at once do not delay other subscribers. */
#define ANSWERS_PER_TURN 256
/* Free buffers of incomplete requests that keep their memory; after a flood of requests the others give theirs back to the system. */
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

/* --- life --- */

static uint32_t slots(const struct shard_options *options)
{
    return options->max_subscribers + SPARE_SLOTS;
}

static int create_fanouts(struct shard *shard)
{
    int error = 0;

    for (unsigned i = 0; i < shard->options.channel_count && error == 0; i++) {
        const struct shard_channel *channel = &shard->options.channels[i];

        error = fanout_init(&shard->fanouts[i], channel->channel, marks_find(shard, channel), &shard->subscribers,
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
    shard->next_lag_check_ns = CLOCK_NEVER;
    shard->next_expiry_ns = CLOCK_NEVER;
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
    options->handler = &shard_engine_handler;
    options->context = shard;
    options->max_connections = slots(&shard->options);
}

int shard_attach(struct shard *shard, struct engine *engine)
{
    int error = 0;

    assert(engine->options.sends_per_turn > 0);
    shard->engine = engine;
    shard->now_ns = shard->events_until_ns = engine_now(engine);
    for (unsigned i = 0; i < shard->options.channel_count && error == 0; i++)
        error = fanout_attach(&shard->fanouts[i], engine);
    return error;
}

/* --- a turn --- */

/* Handles at most ANSWERS_PER_TURN of control's answers; the others wait in shard->answers, in their order. */
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
        subscriber_on_admission_answer(shard, LIST_ENTRY(request, struct subscriber, request));
    }
}

static void cut_below_floor(struct shard *shard)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        struct fanout *fanout = &shard->fanouts[i];
        uint64_t floor = channel_floor(fanout->channel);

        fanout->checked_floor = floor;
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

    if (shard->options.snapshots)
        snapshot_pass_turn(shard->options.snapshots, shard->options.index);
    engine_prepare_sleep(shard->engine);
    own_deadline_ns = shard_next_deadline(shard); /* looks for work again after engine_prepare_sleep, as that requires */
    shard->events_until_ns = engine_turn(shard->engine, own_deadline_ns < deadline_ns ? own_deadline_ns : deadline_ns);
    shard->now_ns = engine_now(shard->engine);
    take_answers(shard);
    expiry_turn(shard);
    offer(shard);
    lag_turn(shard);
    cut_below_floor(shard);
    drain_turn(shard);
    marks_publish(shard);
}

static bool has_answers(const struct shard *shard)
{
    const struct admission *admission = shard->options.admission;

    return admission && (shard->answers || !admission_queue_is_empty(&admission->answers[shard->options.index]));
}

/* True if a publisher has raised a floor since cut_below_floor: it did not wake the shard if that was awake then. */
static bool is_floor_raised(const struct shard *shard)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        const struct fanout *fanout = &shard->fanouts[i];
        uint64_t floor = channel_floor(fanout->channel);

        if (floor != fanout->checked_floor && floor > holds_lowest(&fanout->holds))
            return true;
    }
    return false;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

uint64_t shard_next_deadline(const struct shard *shard)
{
    if (is_offer_due(shard) || has_answers(shard) || is_floor_raised(shard))
        return 0;
    return earlier(earlier(drain_deadline(shard), expiry_deadline(shard)), lag_deadline(shard));
}

/* --- any thread --- */

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
