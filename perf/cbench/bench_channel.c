/* The frame log: appending, and following it with a cursor. */
#include "cbench/cbench.h"
#include "cbench/sample.h"

#include "flashrelay/channel.h"
#include "flashrelay/ws.h"

#include <stdlib.h>

#define ARENA_BYTES (64u << 20)
#define ENTRIES     4096u

struct log {
    struct channel *channel;
    struct channel_marks *marks;
    uint8_t *payload;
    size_t length;
    uint64_t next;
};

static void open_log(struct log *log, struct cbench *bench, unsigned readers)
{
    *log = (struct log){.length = (size_t)cbench_argument(bench), .next = 1};
    log->marks = aligned_alloc(64, sizeof *log->marks);
    log->payload = sample_flashblock(log->length);
    channel_marks_init(log->marks, readers);
    if (channel_create(
            &log->channel,
            &(struct channel_options){.name = "bench", .arena_bytes = ARENA_BYTES, .entries = ENTRIES, .marks = log->marks}) != 0)
        cbench_fail(bench, "no memory for the log");
}

static void close_log(struct log *log)
{
    channel_destroy(log->channel);
    free(log->marks);
    free(log->payload);
}

static void append(struct log *log, struct cbench *bench)
{
    if (channel_append(log->channel, log->next, WS_BINARY, log->payload, log->length, log->next) != 0)
        cbench_fail(bench, "no room in the log");
    log->next++;
}

/* Without readers: the time for header, copy and entry, and for freeing the oldest frames as the log wraps. */
CBENCH(channel_append_frame, 1000, 4000, 25000, 100000, 250000)
{
    struct log log;

    open_log(&log, bench, 1);
    while (cbench_next(bench))
        append(&log, bench);
    cbench_bytes_processed(bench, cbench_iterations(bench) * log.length);
    close_log(&log);
}

/* One frame for one subscriber: finds its run of bytes in the log, then moves the cursor past it. */
CBENCH(channel_cursor_step, 25000)
{
    struct log log;
    const uint8_t *bytes;

    open_log(&log, bench, 1);
    for (unsigned i = 0; i < 100; i++)
        append(&log, bench);
    uint64_t from = 1, head = channel_head(log.channel);
    uint32_t skip = 0;
    while (cbench_next(bench)) {
        size_t run = channel_run(log.channel, NULL, from, from + 1, skip, SIZE_MAX, &bytes);
        cbench_keep(bytes);
        cbench_keep(channel_advance(log.channel, NULL, &from, from + 1, &skip, run).frames);
        from = from > head ? 1 : from;
    }
    cbench_items_processed(bench, cbench_iterations(bench));
    close_log(&log);
}

/* A hundred frames pending together, taken in pieces of 64 KiB, as a subscriber that fell behind catches up. */
CBENCH(channel_cursor_catch_up, 1000, 25000)
{
    struct log log;
    const uint8_t *bytes;

    open_log(&log, bench, 1);
    for (unsigned i = 0; i < 100; i++)
        append(&log, bench);
    while (cbench_next(bench)) {
        uint64_t from = 1, to = channel_head(log.channel) + 1;
        uint32_t skip = 0;
        while (from < to) {
            size_t run = channel_run(log.channel, NULL, from, to, skip, 65536, &bytes);
            cbench_keep(bytes);
            channel_advance(log.channel, NULL, &from, to, &skip, run);
        }
    }
    cbench_items_processed(bench, cbench_iterations(bench) * 100);
    close_log(&log);
}

/* Thread 0 appends while the other follows and moves its mark: the cost of the cache lines between them. */
static struct log shared;

static void follow(struct cbench *bench)
{
    struct channel_frame frame;
    uint64_t next = 1;

    while (cbench_next(bench)) {
        if (next > channel_head(shared.channel))
            continue;
        channel_frame_get(shared.channel, next, &frame);
        cbench_keep(frame.bytes);
        channel_mark_set(shared.marks, 0, ++next);
    }
    channel_mark_set(shared.marks, 0, CHANNEL_MARK_NONE);
}

CBENCH_THREADED(channel_append_followed, 2, 4000)
{
    if (cbench_thread(bench) != 0) {
        follow(bench);
        return;
    }
    open_log(&shared, bench, 1);
    channel_reader_join(shared.channel, 0);
    while (cbench_next(bench))
        if (channel_append(shared.channel, shared.next, WS_BINARY, shared.payload, shared.length, 0) == 0)
            shared.next++;
    cbench_counter(bench, "appended", (double)(shared.next - 1), CBENCH_COUNTER_RATE);
    close_log(&shared);
}
