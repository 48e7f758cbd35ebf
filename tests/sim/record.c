/*
 * The record of what was published, and its checks. The source channel has only messages that a builder sent whole, in the order in which
 * its connection brought them, with none left out and none twice. The compressed channel has the same messages. Each subscriber receives one
 * unbroken part of the channel that it follows.
 */
#include "flashrelay/brotli_codec.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

/* A copy that comes later than this may be published. The relay remembers a message for 10 s from its arrival; as messages wait for room and
 * threads stall, the time from publication to publication is less exact. */
#define CERTAINLY_REMEMBERED_NS (INGEST_RECENT_NS - 6 * NS_PER_S)

/* --- the record of a channel --- */

static struct published_frame *add_frame(struct record *record, uint64_t sequence)
{
    if (sequence >= record->capacity) {
        record->capacity = 2 * sequence + 64;
        record->frames = realloc(record->frames, record->capacity * sizeof *record->frames);
        if (!record->frames)
            abort();
    }
    record->count = sequence + 1;
    record->frames[sequence] = (struct published_frame){0};
    return &record->frames[sequence];
}

void record_dispose(struct record *record)
{
    for (size_t i = 1; i < record->count; i++)
        free(record->frames[i].payload);
    free(record->frames);
}

uint64_t record_head(const struct record *record)
{
    return record->count > 0 ? record->count - 1 : 0;
}

const struct record *record_of(const struct client *client)
{
    return client->line.world->plane.followed[client->channel].record;
}

/* Copies a frame from the channel to the record; NULL for a gap. */
static struct published_frame *take_frame(struct sim_world *world, struct record *record, uint64_t sequence)
{
    struct published_frame *published = add_frame(record, sequence);
    uint8_t header[WS_MAX_HEADER_BYTES];
    struct channel_figures figures;
    struct channel_frame frame;

    channel_figures_get(record->channel, &figures);
    if (sequence < figures.tail)
        fail(world, "frame %llu was freed before its publisher told anybody of it", (unsigned long long)sequence);
    channel_frame_get(record->channel, sequence, &frame);
    if (frame.length == 0)
        return NULL;
    published->length = frame.length - frame.header_length;
    size_t header_length = ws_write_header(header, WS_BINARY, published->length, NULL);
    if (frame.header_length != header_length || memcmp(frame.bytes, header, header_length) != 0)
        fail(world, "frame %llu has a bad header", (unsigned long long)sequence);
    published->payload = malloc(published->length + 1);
    memcpy(published->payload, frame.bytes + frame.header_length, published->length);
    return published;
}

/* --- the source channel, compared with what builders sent --- */

static bool is_bytes(const uint8_t *bytes, size_t length, const struct published_frame *published)
{
    return bytes && length == published->length && memcmp(bytes, published->payload, length) == 0;
}

/* The content whose JSON, or brotli form as a builder sent it, is the payload; NULL if there is none. */
static struct content *find_content(const struct sim_world *world, const struct published_frame *published)
{
    for (size_t i = world->content_count; i > 0; i--) {
        struct content *content = world->contents[i - 1];
        if (is_bytes(content->bytes, content->length, published) ||
            (world->plan.compress && is_bytes(content->brotli, content->brotli_length, published)))
            return content;
    }
    return NULL;
}

/* True if the relay may have dropped this message: as a copy of one that another connection brought, or because it is too big. */
static bool may_be_passed_over(const struct feed *feed, const struct sent *sent)
{
    const struct content *content = sent->content;

    return content->is_too_big || (content->published && (content->shared || content->brought != feed));
}

/* The index of `content` in feed->sent, if it is the next message of the feed that may be published; else sent_count. */
static size_t find_next(const struct feed *feed, const struct content *content)
{
    for (size_t i = feed->next_sent; i < feed->sent_count; i++) {
        if (feed->sent[i].end > feed->line.taken_bytes)
            break; /* the relay can't have all of it */
        if (feed->sent[i].content == content)
            return i;
        if (!may_be_passed_over(feed, &feed->sent[i]))
            break;
    }
    return feed->sent_count;
}

/* Finds the connections that may have brought `content`. If there is only one, everything up to it has been published or dropped there. */
static void attribute(struct sim_world *world, struct content *content)
{
    struct feed *only = NULL;
    size_t position = 0;
    unsigned candidates = 0;

    for (unsigned b = 0; b < world->plan.builders; b++)
        for (struct feed *feed = world->builders[b].feeds; feed; feed = feed->next) {
            size_t found = find_next(feed, content);
            if (found == feed->sent_count)
                continue;
            candidates++;
            only = feed;
            position = found;
        }
    if (candidates == 0)
        fail(world, "what was published as frame %zu was sent by nobody as the next message", world->source.count - 1);
    if (candidates == 1)
        only->next_sent = position + 1;
    content->brought = only;
}

/* A message that all builders send must not be published again. */
static void check_is_no_copy(const struct sim_world *world, const struct content *content)
{
    if (content->published && content->shared && sim_world_now(world) - content->published_ns < CERTAINLY_REMEMBERED_NS)
        fail(world, "frame %zu is a copy of what was published %llu ms before", world->source.count - 1,
             (unsigned long long)((sim_world_now(world) - content->published_ns) / NS_PER_MS));
}

static void record_source(struct sim_world *world)
{
    struct record *record = &world->source;
    uint64_t head = channel_head(record->channel);

    for (uint64_t sequence = record->count > 0 ? record->count : 1; sequence <= head; sequence++) {
        struct published_frame *published = take_frame(world, record, sequence);
        struct content *content = published ? find_content(world, published) : NULL;
        if (!content)
            fail(world, "frame %llu is nothing that was sent", (unsigned long long)sequence);
        check_is_no_copy(world, content);
        attribute(world, content);
        published->content = content;
        content->published = true;
        content->published_ns = sim_world_now(world);
        trace(world, "published %llu: %zu bytes", (unsigned long long)sequence, published->length);
    }
}

/* --- the compressed channel --- */

static bool decompresses_to(const struct published_frame *published, const struct published_frame *json)
{
    uint8_t *bytes = malloc(json->length + 1);
    size_t length = 0;
    bool same = brotli_decompress(published->payload, published->length, bytes, json->length + 1, &length) == 0 &&
                length == json->length && memcmp(bytes, json->payload, length) == 0;

    free(bytes);
    return same;
}

static void record_target(struct sim_world *world)
{
    struct record *record = &world->target;
    uint64_t head = channel_head(record->channel);

    for (uint64_t sequence = record->count > 0 ? record->count : 1; sequence <= head; sequence++) {
        struct published_frame *published = take_frame(world, record, sequence);
        const struct published_frame *source = sequence < world->source.count ? &world->source.frames[sequence] : NULL;
        if (!published || !source)
            fail(world, "frame %llu of the compressed channel has no origin", (unsigned long long)sequence);
        bool was_json = message_is_json(source->payload, source->length);
        if (was_json ? !decompresses_to(published, source) : !is_bytes(source->payload, source->length, published))
            fail(world, "frame %llu of the compressed channel is not what was published", (unsigned long long)sequence);
        published->content = source->content;
    }
}

void record_published(struct sim_world *world, const struct channel *channel)
{
    sim_thread_begin_check();
    if (channel == world->plane.source)
        record_source(world);
    else
        record_target(world);
    sim_thread_end_check();
}

/* --- what a subscriber received --- */

static bool is_for(const struct client *client, const struct published_frame *frame)
{
    return frame->payload && plane_selects(client->selection, frame->length);
}

/* The first frame for the subscriber from `sequence` on; the record's end if there is none. */
static uint64_t next_for(const struct client *client, uint64_t sequence)
{
    const struct record *record = record_of(client);

    while (sequence < record->count && !is_for(client, &record->frames[sequence]))
        sequence++;
    return sequence;
}

static bool is_frame(const struct client *client, uint64_t sequence)
{
    const struct record *record = record_of(client);

    return sequence < record->count && is_bytes(client->message, client->message_length, &record->frames[sequence]);
}

/* True if everything received would be the same if the stream had begun at `other`. */
static bool is_same_so_far(const struct client *client, uint64_t other)
{
    const struct record *record = record_of(client);
    uint64_t a = client->stream.first, b = other;

    for (uint64_t i = 0; i < client->stream.received; i++, a++, b++) {
        a = next_for(client, a);
        b = next_for(client, b);
        if (b >= record->count || record->frames[a].length != record->frames[b].length ||
            memcmp(record->frames[a].payload, record->frames[b].payload, record->frames[a].length) != 0)
            return false;
    }
    return true;
}

/* The frame that has to come next if the stream began at `first`. */
static uint64_t find_next_from(const struct client *client, uint64_t first)
{
    uint64_t sequence = next_for(client, first);

    for (uint64_t i = 0; i < client->stream.received; i++)
        sequence = next_for(client, sequence + 1);
    return sequence;
}

/*
 * The first frame that a subscriber receives shows where its stream begins, unless the same message was published several times. If the
 * first guess turns out to be wrong, a later beginning is taken that explains all frames received so far.
 */
static bool find_other_beginning(struct client *client)
{
    uint64_t from = client->stream.received > 0 ? client->stream.first + 1 : client->stream.from;

    for (uint64_t first = from; first <= client->stream.to; first++) {
        if (client->stream.received > 0 && !is_same_so_far(client, first))
            continue;
        client->stream.next = find_next_from(client, first);
        if (!is_frame(client, client->stream.next))
            continue;
        client->stream.first = first;
        return true;
    }
    return false;
}

void record_check_message(struct client *client, uint8_t opcode)
{
    struct sim_world *world = client->line.world;

    if (opcode != WS_BINARY)
        fail(world, "subscriber %u got a message that is not binary", client->index);
    client->stream.next = next_for(client, client->stream.next);
    if ((client->stream.received == 0 || !is_frame(client, client->stream.next)) && !find_other_beginning(client))
        fail(world, "subscriber %u got a message of %zu bytes that is not the next frame (its first: %llu; received: %llu)",
             client->index, client->message_length, (unsigned long long)client->stream.first,
             (unsigned long long)client->stream.received);
    client->stream.received++;
    client->stream.next++;
    world->delivered++;
}

bool record_is_complete(const struct client *client)
{
    const struct record *record = record_of(client);

    if (client->stream.received == 0)
        return next_for(client, client->stream.to) >= record->count;
    for (uint64_t first = client->stream.first; first <= client->stream.to; first++)
        if ((first == client->stream.first || is_same_so_far(client, first)) && find_next_from(client, first) >= record->count)
            return true;
    return false;
}
