/* One connection from the relay to a builder: the upgrade, messages in all forms, and the builder's faults. */
#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"
#include "sim/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PIECES 4

static struct sim_world *world_of(const struct feed *feed)
{
    return feed->builder->world;
}

void feed_accept(struct sim_builder *builder, struct connection *connection)
{
    struct feed *feed = calloc(1, sizeof *feed);

    feed->line =
        (struct sim_line){.kind = LINE_FEED, .world = builder->world, .engine = builder->engine, .connection = connection};
    feed->builder = builder;
    feed->number = builder->feeds ? builder->feeds->number + 1 : 1;
    feed->next = builder->feeds;
    builder->feeds = feed;
    connection->owner = &feed->line;
    trace(builder->world, "builder %u: connection %u", builder->index, feed->number);
}

void feed_destroy(struct feed *feed)
{
    sim_line_dispose(&feed->line);
    free(feed->sent);
    free(feed);
}

bool feed_is_open(const struct feed *feed)
{
    return feed->line.connection && feed->upgraded && !feed->line.finish && !feed->close_sent && !feed->close_received &&
           !feed->misbehaved;
}

void feed_closed(struct feed *feed, int error)
{
    struct sim_world *world = world_of(feed);

    trace(world, "builder %u: connection %u ended: %s", feed->builder->index, feed->number,
          error != 0 ? strerror(-error) : "in order");
    /* The relay may give up a builder that could not send its pong, or sent it late. */
    bool behind = feed->pong_waited || feed->line.taken_bytes < feed->line.said_bytes;
    /* While a thread of the relay stalls, the time that a builder has for ending a connection may pass. */
    bool ending = feed->close_sent && world->plan.machine.stall_per_million > 0;
    bool good = !ending && !feed->misbehaved && !feed->mute && !feed->stalled && !feed->flooded;
    if (error != 0 && !behind && good && world->phase != PHASE_END && world->plan.network.reset_permille_per_s == 0)
        fail(world, "the relay gave up a good builder's connection");
    if (!ws_reader_is_idle(&feed->reader) && feed->upgraded && error == 0 && !feed->close_received && !feed->misbehaved)
        fail(world, "the relay ended within a frame");
}

/* --- sending --- */

static void say_frame(struct feed *feed, uint8_t first_byte, const uint8_t *bytes, size_t length)
{
    uint8_t header[WS_MAX_HEADER_BYTES];
    size_t header_length = ws_write_header(header, first_byte & 15, length, NULL);

    header[0] = first_byte;
    sim_line_say(&feed->line, header, header_length);
    sim_line_say(&feed->line, bytes, length);
}

static void say_ping(struct feed *feed)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    uint64_t payload = ++feed->next_ping;

    sim_line_say(&feed->line, frame, ws_write_control(frame, WS_PING, &payload, sizeof payload, NULL));
}

void feed_close(struct feed *feed, uint16_t code)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    feed->close_sent = true;
    sim_line_say(&feed->line, frame, ws_write_close(frame, code, "simulated", NULL));
}

static void note_sent(struct feed *feed, struct content *content, bool brotli)
{
    if (feed->sent_count == feed->sent_capacity) {
        feed->sent_capacity = 2 * feed->sent_capacity + 64;
        feed->sent = realloc(feed->sent, feed->sent_capacity * sizeof *feed->sent);
        if (!feed->sent)
            abort();
    }
    feed->sent[feed->sent_count++] = (struct sent){.content = content, .brotli = brotli, .end = feed->line.said_bytes};
}

void feed_send(struct feed *feed, struct content *content)
{
    struct random *random = &feed->builder->random;
    bool brotli = content->length > 0 && (content->is_bomb || chance(random, world_of(feed)->plan.builder.brotli_permille));

    /* With one upstream the relay need not decompress brotli, so it recognises only copies in the same form. */
    if (world_of(feed)->plan.builders == 1 && content->sent)
        brotli = content->brotli != NULL;
    content->sent = true;
    uint8_t opcode = !brotli && random_below(random, 2) == 0 ? WS_TEXT : WS_BINARY;
    size_t pieces = between(random, 1, random_below(random, 3) == 0 ? MOST_PIECES : 1);

    if (brotli)
        content_pack(content);
    const uint8_t *bytes = brotli ? content->brotli : content->bytes;
    size_t left = brotli ? content->brotli_length : content->length;
    for (size_t i = 0; i < pieces; i++) {
        size_t length = i + 1 < pieces ? random_below(random, left + 1) : left;
        say_frame(feed, (uint8_t)((i + 1 == pieces ? 0x80 : 0) | (i == 0 ? opcode : WS_CONTINUATION)), bytes, length);
        bytes += length;
        left -= length;
        if (i + 1 < pieces && random_below(random, 4) == 0)
            say_ping(feed);
    }
    note_sent(feed, content, brotli);
    if (random_below(random, 10) == 0)
        say_ping(feed);
}

/* --- misbehaving --- */

static void break_protocol(struct feed *feed)
{
    static const uint8_t reserved_bits[] = {0xf1, 0x01, 'x'};
    static const uint8_t masked[] = {0x81, 0x81, 1, 2, 3, 4, 'x'};
    static const uint8_t bad_opcode[] = {0x83, 0x00};
    static const uint8_t bad_utf8[] = {0x81, 0x02, 0xc0, 0xaf};
    uint8_t too_big[WS_MAX_HEADER_BYTES];
    uint64_t limit = world_of(feed)->plan.max_message_bytes;

    feed->misbehaved = true;
    switch (random_below(&feed->builder->random, 5)) {
    case 0:
        sim_line_say(&feed->line, reserved_bits, sizeof reserved_bits);
        break;
    case 1:
        sim_line_say(&feed->line, masked, sizeof masked);
        break;
    case 2:
        sim_line_say(&feed->line, bad_opcode, sizeof bad_opcode);
        break;
    case 3:
        sim_line_say(&feed->line, bad_utf8, sizeof bad_utf8);
        break;
    default:
        sim_line_say(&feed->line, too_big, ws_write_header(too_big, WS_BINARY, limit + 1, NULL));
    }
}

/* Begins a message, and ends the stream or falls silent in the middle of it. */
static void stop_within_message(struct feed *feed)
{
    static const uint8_t start[] = {0x82, 0x7e, 0x01, 0x00, '{', '"'};

    feed->misbehaved = true;
    sim_line_say(&feed->line, start, 1 + random_below(&feed->builder->random, sizeof start));
    if (random_below(&feed->builder->random, 2) == 0)
        sim_line_finish(&feed->line);
}

void feed_misbehave(struct feed *feed)
{
    struct sim_builder *builder = feed->builder;
    struct random *random = &builder->random;
    uint64_t choice = random_below(random, 8);

    trace(world_of(feed), "builder %u: connection %u misbehaves (%llu)", builder->index, feed->number,
          (unsigned long long)choice);
    switch (choice) {
    case 0:
        feed->misbehaved = true;
        sim_connection_reset(feed->line.connection);
        break;
    case 1:
        feed->misbehaved = true;
        engine_abort(feed->line.engine, feed->line.connection);
        break;
    case 2:
        stop_within_message(feed);
        break;
    case 3:
        break_protocol(feed);
        break;
    case 4:
        feed_close(feed, WS_CLOSE_GOING_AWAY);
        break;
    case 5:
        feed->mute = true;
        break;
    case 6: /* the builder's machine disappears, and the relay is not told */
        feed->misbehaved = true;
        sim_connection_vanish(feed->line.connection);
        break;
    default:
        feed->stalled = true;
        sim_connection_stall(feed->line.connection, true);
        builder->unstall_ns = sim_world_now(builder->world) + between(random, NS_PER_MS, 2 * NS_PER_S);
    }
}

/* --- receiving --- */

static void refuse_upgrade(struct feed *feed)
{
    const struct http_answer answer = {.status = 503, .body = "not now"};
    char text[512];
    long length = http_write_answer(text, sizeof text, &answer);

    feed->builder->refusals--;
    feed->misbehaved = true;
    sim_line_say(&feed->line, text, (size_t)length);
    sim_line_finish(&feed->line);
}

static void answer_upgrade(struct feed *feed, const struct http_request *request)
{
    const struct http_header *key = http_find_header(request->headers, request->header_count, "Sec-WebSocket-Key");
    char accept[WS_ACCEPT_TEXT_BYTES], text[256];

    if (ws_upgrade_check(request) != WS_UPGRADE_OK)
        fail(world_of(feed), "the relay sent a builder no good upgrade");
    if (feed->builder->refusals > 0) {
        refuse_upgrade(feed);
        return;
    }
    ws_accept_key(key->value, accept);
    sim_line_say(&feed->line, text, ws_write_upgrade_answer(text, sizeof text, accept));
    ws_reader_init(&feed->reader, WS_SERVER, 1 << 16);
    feed->upgraded = true;
    trace(world_of(feed), "builder %u: connection %u is open", feed->builder->index, feed->number);
}

static void take_request(struct feed *feed, const uint8_t *bytes, size_t length)
{
    struct http_request request;
    const char *error = "";
    size_t consumed;

    if (length > sizeof feed->request - feed->request_length)
        fail(world_of(feed), "the relay sent a builder an endless request");
    memcpy(feed->request + feed->request_length, bytes, length);
    feed->request_length += length;
    switch (http_request_parse(&request, feed->request, feed->request_length, &consumed, &error)) {
    case HTTP_PARSE_INCOMPLETE:
        return;
    case HTTP_PARSE_DONE:
        answer_upgrade(feed, &request);
        return;
    default:
        fail(world_of(feed), "the relay sent a builder a bad request: %s", error);
    }
}

static void check_pong(struct feed *feed, const struct ws_event *event)
{
    uint64_t payload;

    if (event->length != sizeof payload)
        fail(world_of(feed), "a builder got a pong with a payload of %zu bytes", event->length);
    memcpy(&payload, event->bytes, sizeof payload);
    if (payload <= feed->next_pong || payload > feed->next_ping)
        fail(world_of(feed), "a builder got pong %llu after %llu", (unsigned long long)payload,
             (unsigned long long)feed->next_pong);
    feed->next_pong = payload;
}

/* Checks that the relay may close with `code` now. */
static void check_close(const struct feed *feed, uint16_t code)
{
    bool expected = false;

    switch (code) {
    case WS_CLOSE_GOING_AWAY:
        expected = feed->close_sent || world_of(feed)->phase == PHASE_END;
        break;
    case WS_CLOSE_PROTOCOL_ERROR:
    case WS_CLOSE_INVALID_PAYLOAD:
    case WS_CLOSE_TOO_BIG:
        expected = feed->misbehaved;
        break;
    default:
        expected = feed->mute || feed->stalled || feed->flooded || feed->pong_waited; /* no pong came in time */
    }
    if (!expected)
        fail(world_of(feed), "the relay closed a good builder's connection with %u", code);
}

static void take_event(struct feed *feed, const struct ws_event *event)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_PING:
        feed->pong_waited = feed->line.taken_bytes < feed->line.said_bytes;
        if (!feed->mute && !feed->close_sent)
            sim_line_say(&feed->line, frame, ws_write_control(frame, WS_PONG, event->bytes, event->length, NULL));
        break;
    case WS_EVENT_PONG:
        check_pong(feed, event);
        break;
    case WS_EVENT_CLOSE:
        trace(world_of(feed), "builder %u: connection %u closed by the relay with %u", feed->builder->index, feed->number,
              event->code);
        check_close(feed, event->code);
        feed->close_received = true;
        if (!feed->close_sent)
            feed_close(feed, event->code == WS_CLOSE_NO_STATUS ? WS_CLOSE_NORMAL : event->code);
        sim_line_finish(&feed->line);
        break;
    case WS_EVENT_DATA:
        fail(world_of(feed), "the relay sent a builder data");
    case WS_EVENT_ERROR:
        fail(world_of(feed), "the relay sent a builder a bad frame: %s", event->reason);
    }
}

size_t feed_received(struct feed *feed, uint8_t *bytes, size_t length)
{
    struct ws_event event;
    size_t taken = 0;

    if (length == 0)
        sim_line_finish(&feed->line);
    if (!feed->upgraded) {
        if (!feed->line.finish)
            take_request(feed, bytes, length);
        return length;
    }
    while (taken < length && !feed->close_received) {
        taken += ws_read(&feed->reader, bytes + taken, length - taken, &event);
        take_event(feed, &event);
    }
    return length;
}
