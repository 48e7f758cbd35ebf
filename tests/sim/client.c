/* A simulated subscriber: checks every byte that it receives. Its own actions are in client_acts.c. */
#include "sim/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_world *world_of(const struct client *client)
{
    return client->line.world;
}

static uint64_t draw(void *context)
{
    return random_next(context);
}

void client_create(struct sim_world *world, unsigned index)
{
    struct client *client = &world->clients[index];

    client->index = index;
    client->line = (struct sim_line){.kind = LINE_CLIENT, .world = world, .engine = world->client_engines[index % CLIENT_HOSTS]};
    client->uri = (struct ws_uri){.host = "relay", .port = RELAY_PORT, .target = client->path};
    client->ws_options = (struct ws_client_options){
        .uri = &client->uri, .max_message_bytes = world->plan.max_message_bytes, .next_random = draw, .context = &client->random};
    client->message = malloc(world->plan.max_message_bytes + 1);
    random_seed(&client->random, random_next(&world->random));
    client->act_ns = sim_world_now(world) + between(&client->random, 0, 300 * NS_PER_MS);
}

void client_destroy(struct client *client)
{
    sim_line_dispose(&client->line);
    free(client->message);
}

/* --- sending --- */

void client_send_control(struct client *client, uint8_t opcode, const void *payload, size_t length)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    sim_line_say(&client->line, frame, ws_write_control(frame, opcode, payload, length, mask));
    if (opcode == WS_PONG && !client->line.finish)
        witness_expect_pong(client, client->line.said_bytes);
}

void client_send_close(struct client *client, uint16_t code)
{
    static const uint8_t mask[4] = {5, 6, 7, 8};
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    client->close_sent = true;
    sim_line_say(&client->line, frame, ws_write_close(frame, code, "", mask));
}

/* --- receiving --- */

static void check_pong(struct client *client, const struct ws_event *event)
{
    uint64_t payload;

    if (event->length != sizeof payload)
        fail(world_of(client), "subscriber %u got a pong with a payload of %zu bytes", client->index, event->length);
    memcpy(&payload, event->bytes, sizeof payload);
    if (payload <= client->next_pong || payload > client->next_ping)
        fail(world_of(client), "subscriber %u got pong %llu after %llu", client->index, (unsigned long long)payload,
             (unsigned long long)client->next_pong);
    client->next_pong = payload;
}

static void take_data(struct client *client, const struct ws_event *event)
{
    memcpy(client->message + client->message_length, event->bytes, event->length);
    client->message_length += event->length;
    if (!event->last)
        return;
    record_check_message(client, event->opcode);
    client->message_length = 0;
}

/* Checks that the relay may close with `code` now. */
static void check_close(const struct client *client, uint16_t code)
{
    const struct sim_world *world = world_of(client);
    bool expected = false;

    switch (code) {
    case WS_CLOSE_GOING_AWAY:
        expected = client->close_sent || world->draining;
        break;
    case WS_CLOSE_TRY_AGAIN_LATER:
        expected = client->cause == DISCONNECT_LAGGED || client->cause == DISCONNECT_LOG_FLOOR ||
                   client->cause == DISCONNECT_SEND_TIMEOUT;
        break;
    case WS_CLOSE_PROTOCOL_ERROR:
    case WS_CLOSE_INVALID_PAYLOAD:
    case WS_CLOSE_TOO_BIG:
        expected = client->misbehaved;
        break;
    case WS_CLOSE_POLICY:
        expected = client->cause == DISCONNECT_FLOOD;
        break;
    case WS_CLOSE_NORMAL:
    case WS_CLOSE_NO_STATUS:
        expected = client->close_sent;
        break;
    default:
        expected = client->cause == DISCONNECT_PONG_TIMEOUT;
    }
    if (!expected)
        fail(world, "subscriber %u was closed with %u for no reason", client->index, code);
}

static void take_close(struct client *client, const struct ws_event *event)
{
    trace(world_of(client), "client %u: close %u", client->index, event->code);
    check_close(client, event->code);
    client->close_received = true;
    if (client->message_length > 0)
        fail(world_of(client), "subscriber %u was closed within a message", client->index);
    if (!client->close_sent && random_below(&client->random, 4) != 0)
        client_send_close(client, event->code == WS_CLOSE_NO_STATUS ? WS_CLOSE_NORMAL : event->code);
    if (random_below(&client->random, 8) != 0)
        sim_line_finish(&client->line);
}

static void take_event(struct client *client, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        take_data(client, event);
        break;
    case WS_EVENT_PING:
        client->pings_received++;
        if (!client->mute && !client->close_sent)
            client_send_control(client, WS_PONG, event->bytes, event->length);
        break;
    case WS_EVENT_PONG:
        check_pong(client, event);
        break;
    case WS_EVENT_CLOSE:
        take_close(client, event);
        break;
    case WS_EVENT_ERROR:
        fail(world_of(client), "subscriber %u got a bad frame: %s", client->index, event->reason);
    }
}

static size_t take_frames(struct client *client, uint8_t *bytes, size_t length)
{
    struct ws_event event;
    size_t taken = 0;

    while (taken < length) {
        if (client->close_received)
            fail(world_of(client), "subscriber %u got %zu bytes behind a close frame", client->index, length - taken);
        taken += ws_client_read(&client->ws, bytes + taken, length - taken, &event);
        take_event(client, &event);
    }
    return length;
}

/* --- the answer to the request --- */

static void opened(struct client *client)
{
    struct sim_world *world = world_of(client);

    client->state = CLIENT_OPEN;
    client->opened_ns = sim_world_now(world);
    client->stream.to = record_head(record_of(client)) + 1; /* what is published from now on must arrive */
    trace(world, "client %u: subscribed, between %llu and %llu", client->index, (unsigned long long)client->stream.from,
          (unsigned long long)client->stream.to);
}

static void refused(struct client *client, int status)
{
    if (!request_may_be_answered(client, status))
        fail(world_of(client), "client %u was answered %d, expected %d", client->index, status, client->expected_status);
    client->state = CLIENT_REFUSED;
    trace(world_of(client), "client %u: answered %d", client->index, status);
    sim_line_finish(&client->line);
}

static size_t take_answer(struct client *client, const uint8_t *bytes, size_t length)
{
    struct ws_client_answer answer;
    size_t taken = ws_client_read_answer(&client->ws, bytes, length, &answer);

    if (client->ws.state == WS_CLIENT_UPGRADING)
        return length;
    if (client->ws.state == WS_CLIENT_REFUSED && (answer.status == 0 || answer.status == 101))
        fail(world_of(client), "client %u got an answer that is none: %s", client->index, answer.error);
    if (client->ws.state == WS_CLIENT_REFUSED) {
        refused(client, answer.status);
        return length;
    }
    if (client->expected_status != 101)
        fail(world_of(client), "client %u was upgraded wrongly", client->index);
    opened(client);
    return taken;
}

/* The relay has ended its side: it must do so behind a close frame, unless the client left or misbehaved before, and not within a frame. */
static void check_fin(const struct client *client)
{
    const struct sim_world *world = world_of(client);

    if (client->state == CLIENT_OPEN && !client->left && !client->misbehaved && !client->close_received)
        fail(world, "subscriber %u was left without a close frame", client->index);
    if ((client->state == CLIENT_OPEN || client->state == CLIENT_LEAVING) &&
        (client->message_length > 0 || !ws_reader_is_idle(&client->ws.reader)) && !client->close_received)
        fail(world, "subscriber %u was left within a frame", client->index);
}

size_t client_received(struct client *client, uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    if (length == 0) {
        check_fin(client);
        sim_line_finish(&client->line);
        return 0;
    }
    if (client->state == CLIENT_ASKING)
        taken = take_answer(client, bytes, length);
    if (taken < length && (client->state == CLIENT_OPEN || client->state == CLIENT_LEAVING))
        take_frames(client, bytes + taken, length - taken);
    return length;
}

void client_closed(struct client *client, int error)
{
    struct sim_world *world = world_of(client);

    trace(world, "client %u: gone after %llu frames: %s", client->index, (unsigned long long)client->stream.received,
          error != 0 ? strerror(-error) : "in order");
    check_ending(client, error);
    client->state = CLIENT_AWAY;
    client->unstall_ns = 0;
    client->act_ns =
        world->phase == PHASE_END ? CLOCK_NEVER : sim_world_now(world) + between(&client->random, NS_PER_MS, 400 * NS_PER_MS);
}
