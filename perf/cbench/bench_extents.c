/* The cursor pump: the work of the policy and the engine in user space per subscriber and message. */
#include "cbench/cbench.h"
#include "cbench/sample.h"

#include "engine/base.h"
#include "engine/extents.h"
#include "flashrelay/holds.h"
#include "flashrelay/ws.h"

#include <stdlib.h>

#define ARENA_BYTES (64u << 20)
#define ENTRIES     4096u

static void append_frame(struct channel *channel, uint64_t sequence, size_t length)
{
    uint8_t *payload = sample_flashblock(length);

    channel_append(channel, sequence, WS_BINARY, payload, length, sequence);
    free(payload);
}

static void ignore_channel(struct engine *engine, const struct channel *channel)
{
    (void)engine;
    (void)channel;
}

static const struct engine_ops no_ops = {.add_channel = ignore_channel};

/* One message to each of `count` subscribers: appends the extent, finds the run and takes it; the holds are updated with each. */
CBENCH(extents_pump, 1000, 10000)
{
    size_t count = (size_t)cbench_argument(bench);
    struct channel_marks *marks = aligned_alloc(64, sizeof *marks);
    struct connection *connections = calloc(count, sizeof *connections);
    struct engine engine = {0};
    struct channel *channel = NULL;
    struct holds holds = {0};
    uint64_t sequence = 1;

    channel_marks_init(marks, 1);
    if (holds_init(&holds, ENTRIES) != 0 ||
        channel_create(&channel, &(struct channel_options){
                                     .name = "bench", .arena_bytes = ARENA_BYTES, .entries = ENTRIES, .marks = marks}) != 0) {
        cbench_fail(bench, "no memory for the log");
        count = 0;
    }
    engine_init(&engine, &no_ops, &(struct engine_options){0}, NULL);
    if (channel && engine_add_channel(&engine, channel, &holds) != 0) {
        cbench_fail(bench, "no memory for the channel");
        count = 0;
    }
    for (size_t i = 0; i < count; i++)
        extents_init(&connections[i]);
    if (channel)
        append_frame(channel, sequence, 25000);
    while (cbench_next(bench)) {
        for (size_t i = 0; i < count; i++) {
            struct engine_progress progress = {0};
            const uint8_t *bytes;

            extents_append_frames(&engine, &connections[i], 0, sequence, sequence + 1);
            size_t run = extents_next_run(&engine, &connections[i], SIZE_MAX, &bytes);
            extents_take(&engine, &connections[i], run, &progress);
            cbench_keep(progress.frames);
        }
    }
    cbench_items_processed(bench, cbench_iterations(bench) * count);
    engine_dispose(&engine);
    channel_destroy(channel);
    holds_dispose(&holds);
    free(connections);
    free(marks);
}
