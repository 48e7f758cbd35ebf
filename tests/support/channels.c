#include "support/channels.h"

#include "flashrelay/ws.h"
#include "support/must.h"

#include <stdlib.h>
#include <string.h>

struct channel *make_channel(struct channel_marks *marks, unsigned readers, size_t arena_bytes, uint32_t entries)
{
    struct channel_options options = {.name = "test", .arena_bytes = arena_bytes, .entries = entries, .marks = marks};
    struct channel *channel;

    channel_marks_init(marks, readers);
    must(channel_create(&channel, &options) == 0);
    return channel;
}

int append_filled(struct channel *channel, uint64_t sequence, size_t length, uint64_t ingest_ns)
{
    uint8_t *payload = malloc(length + 1);
    int error;

    memset(payload, (int)sequence, length);
    error = channel_append(channel, sequence, WS_BINARY, payload, length, ingest_ns);
    free(payload);
    return error;
}
