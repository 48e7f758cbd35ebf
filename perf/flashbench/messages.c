#include "flashbench/messages.h"

#include "flashrelay/ws.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct bench_message *slot_of(struct messages *messages, uint64_t number)
{
    return &messages->kept[number & (MESSAGES_KEPT - 1)];
}

int messages_init(struct messages *messages, uint32_t subscribers)
{
    uint32_t columns = subscribers > 0 ? subscribers : 1;

    memset(messages, 0, sizeof *messages);
    messages->columns = columns;
    messages->unsettled = 1;
    messages->rank_sums = calloc(columns, sizeof(double));
    messages->rank_counts = calloc(columns, sizeof(uint32_t));
    messages->sort_space = calloc(columns, sizeof(uint64_t));
    messages->totals.points = calloc(TIME_LINE_POINTS, sizeof(struct message_point));
    messages->totals.point_stride = 1;
    bool complete = messages->rank_sums && messages->rank_counts && messages->sort_space && messages->totals.points;
    for (unsigned i = 0; i < MESSAGES_KEPT && complete; i++) {
        messages->kept[i].arrivals = calloc(columns, sizeof *messages->kept[i].arrivals);
        complete = messages->kept[i].arrivals != NULL;
    }
    if (complete)
        return 0;
    messages_dispose(messages);
    return -ENOMEM;
}

void messages_dispose(struct messages *messages)
{
    for (unsigned i = 0; i < MESSAGES_KEPT; i++) {
        free(messages->kept[i].arrivals);
        free(messages->kept[i].bytes);
        free(messages->kept[i].packed);
    }
    free(messages->totals.points);
    free(messages->sort_space);
    free(messages->rank_counts);
    free(messages->rank_sums);
    memset(messages, 0, sizeof *messages);
}

/* --- adding a message to the totals --- */

static int compare_arrivals(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Fills sort_space with latency and column of every subscriber that has the message, earliest first. Returns how many. */
static uint32_t sort_arrivals(struct messages *messages, const struct bench_message *message, bool by_stamp)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < messages->columns; i++) {
        uint32_t ticks = by_stamp ? message->arrivals[i].stamped : message->arrivals[i].read;
        if (ticks != 0)
            messages->sort_space[count++] = (uint64_t)ticks << 32 | i;
    }
    qsort(messages->sort_space, count, sizeof(uint64_t), compare_arrivals);
    return count;
}

/* Whenever the time line is full, every second point is removed, and half as many of the further points are kept. */
static void add_point(struct message_totals *totals, const struct message_point *point)
{
    if (totals->messages % totals->point_stride != 0)
        return;
    if (totals->point_count == TIME_LINE_POINTS) {
        for (uint32_t i = 0; i < TIME_LINE_POINTS / 2; i++)
            totals->points[i] = totals->points[2 * i];
        totals->point_count /= 2;
        totals->point_stride *= 2;
    }
    totals->points[totals->point_count++] = *point;
}

static uint64_t arrival_ns(const struct messages *messages, uint32_t place)
{
    return (messages->sort_space[place] >> 32) * MESSAGE_TICK_NS;
}

static void count_ranks(struct messages *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count && count > 1; i++) {
        uint32_t column = (uint32_t)messages->sort_space[i];
        messages->rank_sums[column] += (double)i / (count - 1);
        messages->rank_counts[column]++;
    }
}

/* Records the `count` latencies in sort_space, and each missing delivery with the time for which it has been missing. */
static void record_latencies(const struct messages *messages, struct latency_totals *totals, uint32_t count, uint32_t missing,
                             uint64_t missing_ns)
{
    for (uint32_t i = 0; i < count; i++)
        recorder_add(&totals->delivery, arrival_ns(messages, i));
    for (uint32_t i = 0; i < missing; i++)
        recorder_add(&totals->delivery, missing_ns);
    if (count == 0)
        return;
    recorder_add(&totals->first, arrival_ns(messages, 0));
    recorder_add(&totals->median, arrival_ns(messages, count / 2));
    recorder_add(&totals->last, arrival_ns(messages, count - 1));
    recorder_add(&totals->spread, arrival_ns(messages, count - 1) - arrival_ns(messages, 0));
}

static uint32_t arrival_us(const struct messages *messages, uint32_t place)
{
    return (uint32_t)(arrival_ns(messages, place) / 1000);
}

static void count_up(struct messages *messages, const struct bench_message *message, uint64_t now_ns)
{
    struct message_totals *totals = &messages->totals;
    uint32_t count = sort_arrivals(messages, message, false);
    uint32_t missing = message->owed > count ? message->owed - count : 0;

    record_latencies(messages, &totals->read, count, missing, now_ns - message->offered_ns);
    sort_arrivals(messages, message, true);
    record_latencies(messages, &totals->stamped, count, missing, now_ns - message->offered_ns);
    totals->owed += message->owed;
    totals->deliveries += count;
    totals->lost += missing;
    totals->bytes += (uint64_t)count * message->length;
    if (count > 0) {
        add_point(totals, &(struct message_point){message->offered_ns - messages->measured_from_ns, arrival_us(messages, 0),
                                                  arrival_us(messages, count / 2), arrival_us(messages, count - 1)});
        count_ranks(messages, count);
    }
    totals->messages++;
}

static void settle_oldest(struct messages *messages, uint64_t now_ns)
{
    struct bench_message *message = slot_of(messages, messages->unsettled);

    if (message->measured)
        count_up(messages, message, now_ns);
    message->open = false;
    messages->unsettled++;
}

bool messages_settle(struct messages *messages, uint64_t now_ns, uint64_t patience_ns)
{
    if (messages->unsettled > messages->head)
        return false;
    const struct bench_message *oldest = slot_of(messages, messages->unsettled);
    if (oldest->delivered < oldest->owed && now_ns - oldest->offered_ns < patience_ns)
        return false;
    settle_oldest(messages, now_ns);
    return true;
}

/* --- life of a message --- */

void messages_abandon(struct messages *messages, uint64_t now_ns)
{
    while (messages->unsettled <= messages->head) {
        struct bench_message *message = slot_of(messages, messages->unsettled);
        message->measured &= message->delivered >= message->owed;
        settle_oldest(messages, now_ns);
    }
}

struct bench_message *messages_next(struct messages *messages, uint64_t now_ns)
{
    struct bench_message *message = slot_of(messages, messages->head + 1);

    if (message->open)
        settle_oldest(messages, now_ns);
    return message;
}

void messages_offer(struct messages *messages, uint64_t now_ns, uint32_t owed, bool measured)
{
    struct bench_message *message = slot_of(messages, messages->head + 1);

    assert(!message->open);
    if (measured && messages->measured_from_ns == 0)
        messages->measured_from_ns = now_ns;
    free(message->packed);
    message->packed = NULL;
    message->number = ++messages->head;
    message->offered_ns = now_ns;
    message->owed = owed;
    message->delivered = 0;
    message->measured = measured;
    message->open = true;
    memset(message->arrivals, 0, messages->columns * sizeof *message->arrivals);
}

struct bench_message *messages_find(struct messages *messages, uint64_t number)
{
    struct bench_message *message = slot_of(messages, number);

    return number != 0 && message->number == number ? message : NULL;
}

static bool begins_with(const struct bench_message *message, const uint8_t *prefix, size_t length, bool packed)
{
    const uint8_t *bytes = packed ? message->packed : message->bytes + message->header_length;
    size_t available = packed ? message->packed_length : message->length;

    return message->number != 0 && bytes && length <= available && memcmp(bytes, prefix, length) == 0;
}

struct bench_message *messages_recognise(struct messages *messages, const uint8_t *prefix, size_t length, uint64_t expected,
                                         bool packed)
{
    struct bench_message *message = messages_find(messages, expected);

    if (message && begins_with(message, prefix, length, packed))
        return message;
    for (unsigned i = 0; i < MESSAGES_KEPT; i++)
        if (begins_with(&messages->kept[i], prefix, length, packed))
            return &messages->kept[i];
    return NULL;
}

void messages_owe(struct messages *messages, uint64_t number, int change)
{
    for (; number <= messages->head; number++) {
        struct bench_message *message = messages_find(messages, number);
        if (!message || !message->open)
            continue;
        assert(change > 0 || message->owed > 0);
        message->owed += (uint32_t)change;
    }
}

/* From `offered_ns` to `at_ns` in ticks, at least 1. */
static uint32_t latency_ticks(uint64_t offered_ns, uint64_t at_ns)
{
    uint64_t ticks = at_ns > offered_ns ? (at_ns - offered_ns) / MESSAGE_TICK_NS : 0;

    return ticks == 0 ? 1 : ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

void messages_arrived(struct messages *messages, struct bench_message *message, uint32_t column, const struct arrival *arrival)
{
    struct message_totals *totals = &messages->totals;

    if (message->arrivals[column].read != 0)
        totals->repeated += message->measured;
    else if (!message->open)
        totals->late += message->measured;
    else {
        message->arrivals[column] = (struct message_latency){latency_ticks(message->offered_ns, arrival->stamped_ns),
                                                             latency_ticks(message->offered_ns, arrival->read_ns)};
        message->delivered++;
    }
}
