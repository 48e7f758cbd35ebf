/*
 * A stress test of the frame log alone, made for the thread sanitizer: one publisher that never slows down, and four readers with many
 * cursors each, so that the floor is raised and cursors are cut off all the time. Every reader verifies every byte while its mark protects
 * it; a publisher that waits for room must be woken.
 *
 *     channel_stress [SECONDS [SEED]]
 */
#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/holds.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READERS = 4, CURSORS = 12, ENTRIES = 64, ARENA_BYTES = 64 << 10, LARGEST_PAYLOAD = 8000, LOST_WAKE_UP_S = 30 };

struct cursor {
    uint64_t from;
    uint32_t skip_bytes;
    bool idle; /* has nothing to read, and holds nothing */
};

struct stress_reader {
    unsigned index;
    struct random random;
    struct holds holds;
    struct cursor cursors[CURSORS];
    uint64_t next; /* the first sequence number that has not been offered to cursors */
    uint64_t frames, bytes, cut_off, joins;
};

static struct channel *channel;
static struct channel_marks marks;
static sem_t room; /* posted by readers that moved their mark while the publisher waits */
static _Atomic bool stopping;
static uint8_t pattern[LARGEST_PAYLOAD + 256];

static void fail(const char *what, uint64_t sequence)
{
    fprintf(stderr, "channel_stress: %s, frame %llu\n", what, (unsigned long long)sequence);
    abort();
}

/* The content of frame `sequence` follows from the number alone. */
static bool is_gap(uint64_t sequence)
{
    return sequence % 11 == 3;
}

static size_t payload_bytes(uint64_t sequence)
{
    uint64_t mixed = sequence * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    return mixed % (sequence % 5 == 0 ? LARGEST_PAYLOAD : 300);
}

static const uint8_t *payload_of(uint64_t sequence)
{
    return pattern + (sequence & 255);
}

/* --- publisher --- */

static void wait_for_room(void)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += LOST_WAKE_UP_S;
    while (sem_timedwait(&room, &deadline) != 0)
        if (errno != EINTR)
            fail("nobody woke the publisher", channel_head(channel));
}

static void *publish(void *unused)
{
    (void)unused;
    for (uint64_t sequence = 1; !atomic_load(&stopping); sequence++) {
        if (is_gap(sequence) && sequence % 2 == 0)
            continue; /* a skipped number, which the next append makes a gap */
        while ((is_gap(sequence)
                    ? channel_append_gap(channel, sequence)
                    : channel_append(channel, sequence, WS_BINARY, payload_of(sequence), payload_bytes(sequence), sequence)) != 0)
            wait_for_room();
    }
    return NULL;
}

/* --- readers --- */

/* Compares `length` bytes, the first of them `skip_bytes` into frame `sequence`, with what was published. */
static void verify(const uint8_t *bytes, size_t length, uint64_t sequence, uint32_t skip_bytes)
{
    while (length > 0) {
        uint8_t header[WS_MAX_HEADER_BYTES];
        size_t header_length = ws_write_header(header, WS_BINARY, payload_bytes(sequence), NULL);
        size_t total = header_length + payload_bytes(sequence);

        for (; !is_gap(sequence) && skip_bytes < header_length && length > 0; skip_bytes++, bytes++, length--)
            if (*bytes != header[skip_bytes])
                fail("a header is not what was published", sequence);
        if (!is_gap(sequence) && length > 0) {
            size_t rest = total - skip_bytes < length ? total - skip_bytes : length;
            if (memcmp(bytes, payload_of(sequence) + skip_bytes - header_length, rest) != 0)
                fail("a payload is not what was published", sequence);
            bytes += rest;
            length -= rest;
        }
        skip_bytes = 0;
        sequence++;
    }
}

static void let_go(struct stress_reader *reader, struct cursor *cursor)
{
    if (!cursor->idle)
        holds_remove(&reader->holds, cursor->from);
    cursor->idle = true;
}

static void cut_off(struct stress_reader *reader, uint64_t floor)
{
    for (unsigned i = 0; i < CURSORS; i++) {
        struct cursor *cursor = &reader->cursors[i];
        if (!cursor->idle && cursor->from < floor) {
            let_go(reader, cursor);
            reader->cut_off++;
        }
    }
}

/* Offers the frames published since the last call to every idle cursor; now and then leaves one out, like a subscriber that comes later. */
static void offer(struct stress_reader *reader, uint64_t head)
{
    for (unsigned i = 0; i < CURSORS && reader->next <= head; i++) {
        struct cursor *cursor = &reader->cursors[i];
        if (!cursor->idle || random_below(&reader->random, 4) == 0)
            continue;
        *cursor = (struct cursor){.from = reader->next};
        holds_add(&reader->holds, cursor->from);
    }
    reader->next = head + 1;
}

static void read_some(struct stress_reader *reader, struct cursor *cursor, uint64_t head)
{
    const uint8_t *bytes;
    uint64_t from = cursor->from;
    size_t run = channel_run(channel, NULL, from, head + 1, cursor->skip_bytes, 1 + random_below(&reader->random, 20000), &bytes);

    verify(bytes, run, from, cursor->skip_bytes);
    reader->bytes += run;
    reader->frames += channel_advance(channel, NULL, &cursor->from, head + 1, &cursor->skip_bytes, run).frames;
    if (cursor->from == from)
        return;
    if (cursor->from <= head)
        holds_add(&reader->holds, cursor->from);
    holds_remove(&reader->holds, from);
    cursor->idle = cursor->from > head;
}

static void move_mark(struct stress_reader *reader, uint64_t mark)
{
    channel_mark_set(&marks, reader->index, mark);
    if (channel_is_waiting(channel))
        sem_post(&room);
}

/* Leaves the channel for a moment and joins again, as a shard does whose last subscriber left. */
static void leave_and_join(struct stress_reader *reader)
{
    for (unsigned i = 0; i < CURSORS; i++)
        let_go(reader, &reader->cursors[i]);
    move_mark(reader, CHANNEL_MARK_NONE);
    for (uint64_t yields = random_below(&reader->random, 20); yields > 0; yields--)
        sched_yield();
    reader->next = channel_reader_join(channel, reader->index);
    reader->joins++;
}

static void *read_frames(void *argument)
{
    struct stress_reader *reader = argument;

    reader->next = channel_reader_join(channel, reader->index);
    while (!atomic_load(&stopping)) {
        uint64_t head = channel_head(channel);

        cut_off(reader, channel_floor(channel));
        offer(reader, head);
        for (unsigned i = 0; i < CURSORS; i++)
            if (!reader->cursors[i].idle && random_below(&reader->random, 1 + i) == 0) /* higher ones are slower */
                read_some(reader, &reader->cursors[i], head);
        uint64_t lowest = holds_lowest(&reader->holds);
        move_mark(reader, lowest < head + 1 ? lowest : head + 1);
        if (random_below(&reader->random, 500) == 0)
            leave_and_join(reader);
        if (head == channel_head(channel))
            sched_yield();
    }
    move_mark(reader, CHANNEL_MARK_NONE); /* the publisher may still wait for room */
    return NULL;
}

/* --- the run --- */

static void start(pthread_t *thread, void *(*body)(void *), void *argument)
{
    if (pthread_create(thread, NULL, body, argument) != 0)
        fail("no thread to be had", 0);
}

static int report(const struct stress_reader *readers)
{
    struct channel_figures figures;
    uint64_t frames = 0, bytes = 0, cuts = 0, joins = 0;

    channel_figures_get(channel, &figures);
    for (unsigned i = 0; i < READERS; i++) {
        frames += readers[i].frames;
        bytes += readers[i].bytes;
        cuts += readers[i].cut_off;
        joins += readers[i].joins;
    }
    printf("channel_stress: %llu published, %llu waits for room, %llu wraps, %llu frames and %llu MB verified, %llu cut off, "
           "%llu joins\n",
           (unsigned long long)figures.head, (unsigned long long)figures.append_refusals, (unsigned long long)figures.wraps,
           (unsigned long long)frames, (unsigned long long)(bytes / 1000000), (unsigned long long)cuts,
           (unsigned long long)joins);
    if (figures.append_refusals > 0 && figures.wraps > 0 && frames > 0 && cuts > 0 && joins > 0)
        return 0;
    fprintf(stderr, "channel_stress: something did not happen at all; give it more seconds\n");
    return 1;
}

static void open_channel(uint64_t seed)
{
    struct channel_options options = {.name = "stress", .arena_bytes = ARENA_BYTES, .entries = ENTRIES, .marks = &marks};
    struct random random;

    random_seed(&random, seed);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)random_next(&random);
    channel_marks_init(&marks, READERS);
    if (channel_create(&channel, &options) != 0 || sem_init(&room, 0, 0) != 0)
        fail("no memory to be had", 0);
}

int main(int argc, char **argv)
{
    static struct stress_reader readers[READERS];
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    pthread_t publisher, threads[READERS];

    if (seconds == 0 || argc > 3) {
        fprintf(stderr, "usage: channel_stress [SECONDS [SEED]], SECONDS at least 1\n");
        return 2;
    }
    open_channel(seed);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].index = i;
        random_seed(&readers[i].random, seed + i);
        if (holds_init(&readers[i].holds, ENTRIES) != 0)
            fail("no memory to be had", 0);
        for (unsigned c = 0; c < CURSORS; c++)
            readers[i].cursors[c].idle = true;
        start(&threads[i], read_frames, &readers[i]);
    }
    start(&publisher, publish, NULL);
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds}, NULL);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    sem_post(&room);
    pthread_join(publisher, NULL);
    int status = report(readers);
    for (unsigned i = 0; i < READERS; i++)
        holds_dispose(&readers[i].holds);
    channel_destroy(channel);
    return status;
}
