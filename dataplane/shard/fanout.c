#include "shard/fanout.h"

#include "shard/subscriber.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

/* How many subscribers ahead of the round memory is prefetched: the subscriber's struct, then, once that is there, its connection. */
#define PREFETCH_SUBSCRIBERS 8
#define PREFETCH_CONNECTIONS 4
/* Subscribers visited at most per send of a turn's budget: those that have been offered everything cost a visit, but no send. */
#define VISITS_PER_SEND 4

/* --- life --- */

/* The list is mapped for `capacity` subscribers; memory is touched only as far as there are subscribers. */
static int map_group(struct fanout_group *group, uint32_t capacity)
{
    void *memory =
        mmap(NULL, capacity * sizeof *group->open, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    group->open = memory;
    return 0;
}

int fanout_init(struct fanout *fanout, struct channel *channel, struct fanout_mark *mark, const struct slab *subscribers,
                uint32_t capacity, struct shard_counters *counters)
{
    int error;

    *fanout =
        (struct fanout){.channel = channel, .mark = mark, .subscribers = subscribers, .capacity = capacity, .counters = counters};
    fanout->times.histograms = (struct round_histograms){&counters->first_send_ns, &counters->last_send_ns, &counters->spread_ns};
    error = holds_init(&fanout->holds, SHARD_MAX_CHANNEL_ENTRIES);
    for (unsigned i = 0; i < FANOUT_GROUPS && error == 0; i++)
        error = map_group(&fanout->groups[i], capacity);
    return error;
}

void fanout_dispose(struct fanout *fanout)
{
    for (unsigned i = 0; i < FANOUT_GROUPS; i++)
        if (fanout->groups[i].open)
            munmap(fanout->groups[i].open, fanout->capacity * sizeof *fanout->groups[i].open);
    holds_dispose(&fanout->holds);
}

int fanout_attach(struct fanout *fanout, struct engine *engine)
{
    int number = engine_add_channel(engine, fanout->channel, &fanout->holds);

    if (number < 0)
        return number;
    fanout->engine = engine;
    fanout->number = (uint16_t)number;
    return 0;
}

/* --- adding and removing subscribers --- */

static bool is_running(const struct fanout *fanout)
{
    return fanout->target > fanout->completed;
}

static struct subscriber *subscriber_at(const struct fanout *fanout, const struct fanout_group *group, uint32_t place)
{
    return slab_element(fanout->subscribers, group->open[place]);
}

/* Returns the number after the channel's head, or the mark if another channel has moved that further: frames below the mark may be gone. */
static uint64_t join_channel(struct fanout *fanout)
{
    struct fanout_mark *mark = fanout->mark;
    uint64_t next;

    if (mark->sequence == CHANNEL_MARK_NONE)
        return mark->sequence = channel_reader_join(fanout->channel, mark->reader);
    next = channel_head(fanout->channel) + 1;
    return next > mark->sequence ? next : mark->sequence;
}

void fanout_join(struct fanout *fanout, struct subscriber *subscriber)
{
    struct fanout_group *group = &fanout->groups[subscriber->group];
    uint64_t next = join_channel(fanout);

    if (fanout->open_count == 0)
        fanout->completed = fanout->target = next - 1;
    subscriber->cursor = subscriber->next_untaken = next;
    subscriber->open_index = group->count;
    group->open[group->count++] = slab_number(fanout->subscribers, subscriber);
    fanout->open_count++;
}

static void stop_waiting(struct fanout *fanout, struct subscriber *subscriber)
{
    round_times_leave(&fanout->times, subscriber->measurement);
    subscriber->measurement = ROUND_TIMES_NONE;
}

void fanout_leave(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns)
{
    struct fanout_group *group = &fanout->groups[subscriber->group];
    uint32_t index = subscriber->open_index;
    struct subscriber *last = subscriber_at(fanout, group, --group->count);

    fanout->open_count--;
    stop_waiting(fanout, subscriber);
    group->open[index] = group->open[group->count];
    last->open_index = index;
    subscriber->open_index = SUBSCRIBER_NO_INDEX;
    /* `last` may have moved from a place that the round has yet to visit to one that it has visited. */
    if (last != subscriber && is_running(fanout))
        fanout_offer(fanout, last, now_ns);
}

struct subscriber *fanout_open_at(const struct fanout *fanout, uint32_t place)
{
    const struct fanout_group *group = fanout->groups;

    assert(place < fanout->open_count);
    while (place >= group->count)
        place -= group++->count;
    return subscriber_at(fanout, group, place);
}

/* --- offering --- */

void fanout_offer(struct fanout *fanout, struct subscriber *subscriber, uint64_t now_ns)
{
    struct connection *connection = subscriber->connection;
    uint64_t end = fanout->target + 1;
    int error;

    if (subscriber->cursor >= end)
        return;
    if (subscriber->next_untaken == subscriber->cursor)
        subscriber->offered_at_ns = now_ns;
    error = engine_append_frames(fanout->engine, connection, fanout->number, subscriber->cursor, end);
    assert(error == 0); /* a subscriber's stream is at most: what is in flight, control frames, frames */
    (void)error;
    subscriber->cursor = end;
    if (connection->blocked)
        return;
    engine_serve(fanout->engine, connection);
    stop_waiting(fanout, subscriber);
    subscriber->measurement = round_times_wait(&fanout->times);
}

/* Draws the place where the round begins in a group: another one than the last round's. */
static uint32_t next_start(const struct fanout_group *group, struct random *random)
{
    uint32_t count = group->count;

    return count <= 1 ? 0 : (uint32_t)((group->start + 1 + random_below(random, count - 1)) % count);
}

static void begin_group(struct fanout *fanout)
{
    fanout->next = fanout->groups[fanout->group].start;
    fanout->wrapped = false;
}

/* Begins the measurement of the frames [from, to); of many, the times of the newest are recorded. */
static void begin_times(struct fanout *fanout, uint64_t from, uint64_t to)
{
    uint64_t ingest_ns[ROUND_TIMES_FRAMES];
    uint32_t count = 0;

    for (uint64_t sequence = to - from > ROUND_TIMES_FRAMES ? to - ROUND_TIMES_FRAMES : from; sequence < to; sequence++) {
        struct channel_frame frame;

        channel_frame_get(fanout->channel, sequence, &frame);
        if (frame.length > 0)
            ingest_ns[count++] = frame.ingest_ns;
    }
    round_times_begin(&fanout->times, from, ingest_ns, count);
}

static void begin_round(struct fanout *fanout, struct random *random, uint64_t head)
{
    begin_times(fanout, fanout->completed + 1, head + 1);
    fanout->target = head;
    for (unsigned i = 0; i < FANOUT_GROUPS; i++)
        fanout->groups[i].start = next_start(&fanout->groups[i], random);
    fanout->group = 0;
    begin_group(fanout);
}

static void end_round(struct fanout *fanout)
{
    fanout->completed = fanout->target;
    round_times_offered(&fanout->times);
}

/* Returns the subscriber that the round visits next in its group, or NULL at the group's end. */
static struct subscriber *next_in_group(struct fanout *fanout)
{
    struct fanout_group *group = &fanout->groups[fanout->group];

    if (!fanout->wrapped && fanout->next >= group->count) {
        fanout->wrapped = true;
        fanout->next = 0;
    }
    if (fanout->next >= group->count || (fanout->wrapped && fanout->next >= group->start))
        return NULL;
    return subscriber_at(fanout, group, fanout->next++);
}

/* Returns the subscriber that the round visits next, or NULL at the round's end. */
static struct subscriber *next_in_round(struct fanout *fanout)
{
    struct subscriber *subscriber = next_in_group(fanout);

    while (!subscriber && fanout->group + 1 < FANOUT_GROUPS) {
        fanout->group++;
        begin_group(fanout);
        subscriber = next_in_group(fanout);
    }
    return subscriber;
}

static void prefetch(const struct fanout *fanout)
{
    const struct fanout_group *group = &fanout->groups[fanout->group];
    uint32_t place = fanout->next;

    if (place + PREFETCH_SUBSCRIBERS < group->count)
        __builtin_prefetch(subscriber_at(fanout, group, place + PREFETCH_SUBSCRIBERS), 1);
    if (place + PREFETCH_CONNECTIONS < group->count)
        __builtin_prefetch(subscriber_at(fanout, group, place + PREFETCH_CONNECTIONS)->connection, 1);
}

static void offer_slice(struct fanout *fanout, uint64_t now_ns)
{
    uint32_t sends = fanout->engine->options.sends_per_turn;
    uint32_t visits = sends * VISITS_PER_SEND;

    while (sends > 0 && visits-- > 0) {
        struct subscriber *subscriber = next_in_round(fanout);

        if (!subscriber) {
            end_round(fanout);
            return;
        }
        prefetch(fanout);
        if (subscriber->cursor <= fanout->target)
            sends--;
        fanout_offer(fanout, subscriber, now_ns);
    }
}

bool fanout_is_due(const struct fanout *fanout)
{
    if (fanout->open_count == 0)
        return false;
    return is_running(fanout) || channel_head(fanout->channel) > fanout->completed;
}

void fanout_turn(struct fanout *fanout, struct random *random, uint64_t now_ns)
{
    uint64_t head = channel_head(fanout->channel);

    if (fanout->open_count == 0)
        fanout->completed = fanout->target = head;
    else if (!is_running(fanout) && head > fanout->completed)
        begin_round(fanout, random, head);
    if (is_running(fanout))
        offer_slice(fanout, now_ns);
}

/* --- progress and figures --- */

void fanout_progressed(struct fanout *fanout, struct subscriber *subscriber, const struct engine_progress *progress,
                       uint64_t now_ns)
{
    uint64_t next_untaken = engine_next_untaken(subscriber->connection);
    struct round_service service = {.took_bytes = progress->bytes > 0, .blocked = subscriber->connection->blocked};

    subscriber->next_untaken = next_untaken != HOLDS_NONE ? next_untaken : subscriber->cursor;
    if (progress->frames > 0) {
        counter_add(&fanout->counters->sent_messages, progress->frames);
        counter_add(&fanout->counters->sent_bytes, progress->payload_bytes);
        histogram_record(&fanout->counters->send_ns, now_ns - subscriber->offered_at_ns, progress->frames);
    }
    service.next_untaken = subscriber->next_untaken;
    service.whole = subscriber->next_untaken == subscriber->cursor;
    if (round_times_served(&fanout->times, subscriber->measurement, &service, now_ns))
        subscriber->measurement = ROUND_TIMES_NONE;
}

uint64_t fanout_backlog(const struct fanout *fanout)
{
    uint64_t head = channel_head(fanout->channel);

    return head > fanout->completed ? head - fanout->completed : 0;
}

uint64_t fanout_lowest(const struct fanout *fanout)
{
    uint64_t lowest = holds_lowest(&fanout->holds);

    _Static_assert(HOLDS_NONE == CHANNEL_MARK_NONE, "HOLDS_NONE and CHANNEL_MARK_NONE must be equal");
    if (fanout->open_count > 0 && fanout->completed + 1 < lowest)
        lowest = fanout->completed + 1;
    return lowest;
}
