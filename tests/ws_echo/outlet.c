#include "outlet.h"

#include <errno.h>
#include <stdlib.h>

/* Twice the largest message, and its header. */
#define ARENA_BYTES (2 * ((size_t)ECHO_MAX_MESSAGE_BYTES + 64))
#define ENTRIES     1024
#define READER      0

static struct outlet *make_outlet(struct engine *engine)
{
    struct outlet *outlet = aligned_alloc(_Alignof(struct outlet), sizeof *outlet);
    struct channel_options options = {.name = "echo", .arena_bytes = ARENA_BYTES, .entries = ENTRIES};

    if (!outlet)
        return NULL;
    channel_marks_init(&outlet->marks, 1);
    options.marks = &outlet->marks;
    if (channel_create(&outlet->channel, &options) != 0) {
        free(outlet);
        return NULL;
    }
    int number = engine_add_channel(engine, outlet->channel, NULL);
    if (number < 0) {
        channel_destroy(outlet->channel);
        free(outlet);
        return NULL;
    }
    outlet->number = (uint16_t)number;
    return outlet;
}

struct outlet *outlet_take(struct outlet **unused, struct engine *engine)
{
    struct outlet *outlet = *unused;

    if (outlet)
        *unused = outlet->next;
    else
        outlet = make_outlet(engine);
    if (outlet)
        outlet->handed_over = channel_reader_join(outlet->channel, READER) - 1;
    return outlet;
}

void outlet_give_back(struct outlet *outlet, struct outlet **unused)
{
    channel_mark_set(&outlet->marks, READER, CHANNEL_MARK_NONE);
    outlet->next = *unused;
    *unused = outlet;
}

void outlets_destroy(struct outlet *unused)
{
    while (unused) {
        struct outlet *next = unused->next;

        channel_destroy(unused->channel);
        free(unused);
        unused = next;
    }
}

bool outlet_flush(struct outlet *outlet, struct engine *engine, struct connection *connection)
{
    uint64_t head = channel_head(outlet->channel);

    if (outlet->handed_over == head)
        return true;
    if (engine_append_frames(engine, connection, outlet->number, outlet->handed_over + 1, head + 1) != 0)
        return false;
    outlet->handed_over = head;
    engine_serve(engine, connection);
    return true;
}

bool outlet_send(struct outlet *outlet, struct engine *engine, struct connection *connection, uint8_t opcode, const void *bytes,
                 size_t length)
{
    uint64_t sequence = channel_head(outlet->channel) + 1;

    if (channel_append(outlet->channel, sequence, opcode, bytes, length, engine_now(engine)) != 0)
        return false;
    outlet_flush(outlet, engine, connection);
    return true;
}

void outlet_progress(struct outlet *outlet, const struct connection *connection)
{
    uint64_t next = outlet->handed_over + 1;

    channel_mark_set(&outlet->marks, READER, connection->held_sequence < next ? connection->held_sequence : next);
}
