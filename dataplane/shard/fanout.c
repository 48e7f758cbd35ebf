#include "shard/fanout.h"

#include "shard/internal.h"

#include "flashrelay/histogram.h"
#include <assert.h>

/* How far ahead the walk asks for memory: a subscriber's struct, then, once that is there, its connection. */
#define PREFETCH_SUBSCRIBERS 8
#define PREFETCH_CONNECTIONS 4
/* Subscribers who have everything already cost little: so many more may be passed in a turn. */
#define VISITS_PER_SEND 4

void fanout_init(struct shard *shard)
{
    shard->fanout.mark = CHANNEL_MARK_NONE;
}

static bool is_running(const struct fanout *fanout)
{
    return fanout->target > fanout->completed;
}

static void publish_backlog(struct shard *shard, uint64_t head)
{
    counter_set(&shard->counters.backlog_frames, head > shard->fanout.completed ? head - shard->fanout.completed : 0);
}

/* --- who takes part --- */

void fanout_join(struct shard *shard, struct subscriber *subscriber)
{
    struct fanout *fanout = &shard->fanout;
    uint64_t next;

    if (fanout->mark == CHANNEL_MARK_NONE)
        fanout->mark = next = channel_reader_join(shard->options.channel, shard->options.reader);
    else
        next = channel_head(shard->options.channel) + 1;
    if (shard->open_count == 0)
        fanout->completed = fanout->target = next - 1;
    subscriber->cursor = subscriber->next_untaken = next;
    subscriber->open_index = shard->open_count;
    shard->open[shard->open_count++] = subscriber;
}

/* The measurement waits no more for this subscriber. */
static void measurement_leave(struct shard *shard, struct subscriber *subscriber)
{
    struct measurement *measurement = &shard->fanout.measurement;

    if (subscriber->measurement == measurement->id && measurement->running)
        measurement->pending--;
    subscriber->measurement = 0;
}

void fanout_leave(struct shard *shard, struct subscriber *subscriber)
{
    uint32_t index = subscriber->open_index;
    struct subscriber *last = shard->open[--shard->open_count];

    measurement_leave(shard, subscriber);
    shard->open[index] = last;
    last->open_index = index;
    subscriber->open_index = SUBSCRIBER_NO_INDEX;
    /* The last one may have moved from where the round has yet to come to where it has been. */
    if (last != subscriber && is_running(&shard->fanout))
        fanout_offer(shard, last);
}

/* --- measuring --- */

static void record(struct histogram *histogram, const struct measurement *measurement, uint64_t end_ns)
{
    for (uint32_t i = 0; i < measurement->frames; i++)
        histogram_record(histogram, end_ns - measurement->ingest_ns[i], 1);
}

static void measurement_end(struct shard *shard)
{
    struct measurement *measurement = &shard->fanout.measurement;

    if (!measurement->running)
        return;
    measurement->running = false;
    if (measurement->last_ns == 0)
        return;
    record(&shard->counters.last_send_ns, measurement, measurement->last_ns);
    histogram_record(&shard->counters.spread_ns, measurement->last_ns - measurement->first_ns, measurement->frames);
}

/* The frames [from, to) are about to be offered. A measurement that still waits for somebody ends with what it has. */
static void measurement_begin(struct shard *shard, uint64_t from, uint64_t to)
{
    struct measurement *measurement = &shard->fanout.measurement;
    uint64_t first = to - from > FANOUT_MEASURED_FRAMES ? to - FANOUT_MEASURED_FRAMES : from;

    measurement_end(shard);
    measurement->id = measurement->id == UINT32_MAX ? 1 : measurement->id + 1;
    measurement->running = true;
    measurement->offered = false;
    measurement->from = from;
    measurement->pending = 0;
    measurement->frames = 0;
    measurement->first_ns = measurement->last_ns = 0;
    for (uint64_t sequence = first; sequence < to; sequence++) {
        struct channel_frame frame;

        channel_frame_get(shard->options.channel, sequence, &frame);
        if (frame.length > 0)
            measurement->ingest_ns[measurement->frames++] = frame.ingest_ns;
    }
}

/* A subscriber that the measurement waits for was served: whole, in part, or it refused. */
static void measurement_progressed(struct shard *shard, struct subscriber *subscriber, size_t taken_bytes)
{
    struct measurement *measurement = &shard->fanout.measurement;
    bool whole = subscriber->next_untaken == subscriber->cursor;

    if (subscriber->measurement != measurement->id || !measurement->running)
        return;
    if (measurement->first_ns == 0 && taken_bytes > 0 && subscriber->next_untaken >= measurement->from) {
        measurement->first_ns = shard->now_ns;
        record(&shard->counters.first_send_ns, measurement, shard->now_ns);
    }
    if (!whole && !subscriber->connection->blocked)
        return;
    if (whole && measurement->first_ns != 0)
        measurement->last_ns = shard->now_ns;
    measurement_leave(shard, subscriber);
    if (measurement->offered && measurement->pending == 0)
        measurement_end(shard);
}

/* --- offering --- */

void fanout_offer(struct shard *shard, struct subscriber *subscriber)
{
    struct connection *connection = subscriber->connection;
    uint64_t end = shard->fanout.target + 1;
    int error;

    if (subscriber->cursor >= end)
        return;
    if (subscriber->next_untaken == subscriber->cursor)
        subscriber->offered_at_ns = shard->now_ns;
    error = engine_append_frames(shard->engine, connection, shard->options.channel, subscriber->cursor, end);
    assert(error == 0); /* a subscriber's stream is at most: what is in flight, control frames, frames */
    (void)error;
    subscriber->cursor = end;
    if (connection->blocked)
        return;
    engine_serve(shard->engine, connection);
    measurement_leave(shard, subscriber);
    subscriber->measurement = shard->fanout.measurement.id;
    shard->fanout.measurement.pending++;
}

/* Each round begins at another subscriber than the last, so nobody is always first or always last. */
static void begin_round(struct shard *shard, uint64_t head)
{
    struct fanout *fanout = &shard->fanout;
    uint32_t count = shard->open_count;

    measurement_begin(shard, fanout->completed + 1, head + 1);
    fanout->target = head;
    fanout->start = count == 1 ? 0 : (uint32_t)((fanout->start + 1 + random_below(&shard->random, count - 1)) % count);
    fanout->next = fanout->start;
    fanout->wrapped = false;
}

static void end_round(struct shard *shard)
{
    struct measurement *measurement = &shard->fanout.measurement;

    shard->fanout.completed = shard->fanout.target;
    measurement->offered = true;
    if (measurement->pending == 0)
        measurement_end(shard);
}

/* Whom the round visits next, or NULL at its end. */
static struct subscriber *next_in_round(struct shard *shard)
{
    struct fanout *fanout = &shard->fanout;

    if (!fanout->wrapped && fanout->next >= shard->open_count) {
        fanout->wrapped = true;
        fanout->next = 0;
    }
    if (fanout->next >= shard->open_count || (fanout->wrapped && fanout->next >= fanout->start))
        return NULL;
    return shard->open[fanout->next++];
}

static void prefetch(const struct shard *shard, uint32_t index)
{
    if (index + PREFETCH_SUBSCRIBERS < shard->open_count)
        __builtin_prefetch(shard->open[index + PREFETCH_SUBSCRIBERS], 1);
    if (index + PREFETCH_CONNECTIONS < shard->open_count)
        __builtin_prefetch(shard->open[index + PREFETCH_CONNECTIONS]->connection, 1);
}

static void offer_slice(struct shard *shard)
{
    uint32_t sends = shard->engine->options.sends_per_turn;
    uint32_t visits = sends * VISITS_PER_SEND;

    while (sends > 0 && visits-- > 0) {
        struct subscriber *subscriber = next_in_round(shard);

        if (!subscriber) {
            end_round(shard);
            return;
        }
        prefetch(shard, shard->fanout.next);
        if (subscriber->cursor <= shard->fanout.target)
            sends--;
        fanout_offer(shard, subscriber);
    }
}

bool fanout_is_due(const struct shard *shard)
{
    if (shard->open_count == 0)
        return false;
    return is_running(&shard->fanout) || channel_head(shard->options.channel) > shard->fanout.completed;
}

void fanout_turn(struct shard *shard)
{
    struct fanout *fanout = &shard->fanout;
    uint64_t head = channel_head(shard->options.channel);

    if (shard->open_count == 0)
        fanout->completed = fanout->target = head;
    else if (!is_running(fanout) && head > fanout->completed)
        begin_round(shard, head);
    if (is_running(fanout))
        offer_slice(shard);
    publish_backlog(shard, head);
}

/* --- what comes of it --- */

/* The lowest frame that the engine has not yet brought to the peer whole; the cursor if there is none. */
static uint64_t find_next_untaken(const struct subscriber *subscriber)
{
    const struct connection *connection = subscriber->connection;

    for (unsigned i = 0; i < connection->extent_count; i++)
        if (connection->extents[i].channel)
            return connection->extents[i].from;
    return subscriber->cursor;
}

/* Payload bytes of the `frames` frames that end below `end`; the mark has not passed them yet. */
static uint64_t payload_bytes(const struct channel *channel, uint64_t end, uint32_t frames)
{
    uint64_t bytes = 0;

    while (frames > 0) {
        struct channel_frame frame;

        channel_frame_get(channel, --end, &frame);
        frames -= frame.length > 0;
        bytes += frame.length - frame.header_length;
    }
    return bytes;
}

void fanout_progressed(struct shard *shard, struct subscriber *subscriber, const struct engine_progress *progress)
{
    subscriber->next_untaken = find_next_untaken(subscriber);
    if (progress->frames > 0) {
        counter_add(&shard->counters.sent_messages, progress->frames);
        counter_add(&shard->counters.sent_bytes,
                    payload_bytes(shard->options.channel, subscriber->next_untaken, progress->frames));
        histogram_record(&shard->counters.send_ns, shard->now_ns - subscriber->offered_at_ns, progress->frames);
    }
    measurement_progressed(shard, subscriber, progress->bytes);
}

void fanout_publish_mark(struct shard *shard)
{
    struct fanout *fanout = &shard->fanout;
    uint64_t mark = holds_lowest(&shard->holds);

    _Static_assert(HOLDS_NONE == CHANNEL_MARK_NONE, "nothing held is nothing marked");
    if (shard->open_count > 0 && fanout->completed + 1 < mark)
        mark = fanout->completed + 1;
    if (mark == fanout->mark)
        return;
    fanout->mark = mark;
    channel_mark_set(shard->options.marks, shard->options.reader, mark);
    if (channel_is_waiting(shard->options.channel) && shard->options.publisher)
        waker_wake(shard->options.publisher, engine_waker(shard->engine));
}
