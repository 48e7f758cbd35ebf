/* What a subscriber does of its own accord: asks well or badly, stalls, chatters, breaks the protocol, leaves. */
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACT_NS (60 * NS_PER_MS) /* on average */

static struct sim_world *world_of(const struct client *client)
{
    return client->line.world;
}

static void ping(struct client *client)
{
    client->next_ping++;
    client_send_control(client, WS_PING, &client->next_ping, sizeof client->next_ping);
}

/* --- asking --- */

/* Bad requests, and what they are answered. */
static const struct {
    const char *text;
    int status;
} bad_requests[] = {
    {"GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n", 404},
    {"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n", 200},
    {"POST /ws HTTP/1.1\r\nHost: relay\r\n\r\n", 405},
    {"GET /ws HTTP/1.1\r\nHost: relay\r\n\r\n", 400},
    {"\r\nwhat is this?\r\n\r\n", 400},
    {"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: web", 0}, /* never ends */
};

static void ask_badly(struct client *client)
{
    size_t which = random_below(&client->random, sizeof bad_requests / sizeof bad_requests[0]);

    client->expected_status = bad_requests[which].status;
    sim_line_say(&client->line, bad_requests[which].text, strlen(bad_requests[which].text));
    trace(world_of(client), "client %u: asks badly, expects %d", client->index, client->expected_status);
}

static void ask(struct client *client)
{
    char text[512];

    client->expected_status = 101;
    sim_line_say(&client->line, text, (size_t)ws_client_write_request(&client->ws, text, sizeof text));
    if (random_below(&client->random, 6) == 0)
        ping(client); /* without waiting for the answer */
}

void client_connected(struct client *client, int error)
{
    struct sim_world *world = world_of(client);

    if (error != 0) {
        trace(world, "client %u: not connected", client->index);
        client->state = CLIENT_AWAY;
        client->act_ns = sim_world_now(world) + between(&client->random, NS_PER_MS, 200 * NS_PER_MS);
        return;
    }
    client->state = CLIENT_ASKING;
    ws_client_start(&client->ws, &client->ws_options, client->head);
    client->first_from = record_of_subscribers(world)->count;
    if (client->first_from == 0)
        client->first_from = 1;
    if (world->phase == PHASE_FLOW && chance(&client->random, world->plan.client_fault_permille / 4))
        ask_badly(client);
    else
        ask(client);
}

void client_connect(struct client *client)
{
    struct sim_world *world = world_of(client);
    const struct address relay = {.ip = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}}, .port = RELAY_PORT};
    struct sim_line *line = &client->line;

    line->length = line->said_bytes = line->taken_bytes = 0;
    line->finish = false;
    client->message_length = 0;
    client->first = client->received = client->next_ping = client->next_pong = client->pings_received = 0;
    client->misbehaved = client->left = client->mute = false;
    client->cause = DISCONNECT_CAUSES;
    client->testimony = (struct testimony){0};
    client->close_sent = client->close_received = false;
    client->unstall_ns = client->ending_since_ns = 0;
    line->connection = engine_connect(line->engine, &relay, line);
    if (!line->connection)
        fail(world, "client %u has no slot", client->index);
    client->state = CLIENT_CONNECTING;
}

/* --- leaving --- */

void client_leave(struct client *client, bool politely)
{
    struct sim_line *line = &client->line;
    uint64_t way = politely ? 0 : random_below(&client->random, 4);

    if (client->state == CLIENT_CONNECTING)
        way = 3;
    trace(world_of(client), "client %u: leaves (%llu)", client->index, (unsigned long long)way);
    client->left = true;
    switch (way) {
    case 0:
        if (client->state == CLIENT_OPEN && !client->close_sent && !client->misbehaved)
            client_send_close(client, WS_CLOSE_NORMAL);
        else
            sim_line_finish(line);
        break;
    case 1:
        sim_line_finish(line);
        break;
    case 2:
        sim_connection_reset(line->connection);
        break;
    default:
        engine_abort(line->engine, line->connection);
    }
    if (client->state == CLIENT_OPEN)
        client->state = CLIENT_LEAVING;
}

/* --- behaving badly --- */

void client_stall(struct client *client, bool stalled)
{
    struct sim_world *world = world_of(client);

    trace(world, "client %u: %s", client->index, stalled ? "stalls" : "reads again");
    client->unstall_ns = stalled ? sim_world_now(world) + between(&client->random, NS_PER_MS, 1500 * NS_PER_MS) : 0;
    sim_connection_stall(client->line.connection, stalled);
}

static void say_masked_data(struct client *client, uint8_t first_byte, size_t length)
{
    static const uint8_t mask[4] = {9, 9, 9, 9};
    uint8_t header[WS_MAX_HEADER_BYTES], junk[2000] = {9};
    size_t header_length = ws_write_header(header, first_byte & 15, length, mask);

    header[0] = first_byte;
    sim_line_say(&client->line, header, header_length);
    sim_line_say(&client->line, junk, length < sizeof junk ? length : sizeof junk);
}

static void break_protocol(struct client *client)
{
    client->misbehaved = true;
    switch (random_below(&client->random, 4)) {
    case 0:
        sim_line_say(&client->line, "\x82\x01x", 3); /* not masked */
        break;
    case 1:
        say_masked_data(client, 0x83, 10); /* no such opcode */
        break;
    case 2:
        say_masked_data(client, 0xc2, 10); /* reserved bit */
        break;
    default:
        say_masked_data(client, 0x82, SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES + 1);
    }
}

void client_misbehave(struct client *client)
{
    uint64_t choice = random_below(&client->random, 5);

    trace(world_of(client), "client %u: misbehaves (%llu)", client->index, (unsigned long long)choice);
    if (choice == 0)
        break_protocol(client);
    else if (choice == 1)
        client->mute = true;
    else if (choice == 2)
        client_leave(client, false);
    else
        client_stall(client, true);
}

/* What it says without harm: a ping, or data, which is dropped. */
static void chatter(struct client *client)
{
    uint64_t choice = random_below(&client->random, 8);

    if (choice == 0) {
        ping(client);
    } else if (choice == 1) {
        say_masked_data(client, 0x82, random_below(&client->random, 2000));
    } else if (choice == 2) {
        say_masked_data(client, 0x01, 0); /* an empty first fragment of a text ... */
        say_masked_data(client, 0x80, 0); /* ... and its end */
    }
}

/* --- acting --- */

uint64_t client_deadline(const struct client *client)
{
    return client->unstall_ns != 0 && client->unstall_ns < client->act_ns ? client->unstall_ns : client->act_ns;
}

void client_act(struct client *client)
{
    struct sim_world *world = world_of(client);
    uint64_t now_ns = sim_world_now(world);

    if (client->unstall_ns != 0 && client->unstall_ns <= now_ns && client->line.connection)
        client_stall(client, false);
    if (client->act_ns > now_ns)
        return;
    client->act_ns = now_ns + between(&client->random, NS_PER_MS, 2 * ACT_NS);
    if (client->state == CLIENT_AWAY && world->phase != PHASE_END)
        client_connect(client);
    else if (client->state != CLIENT_AWAY && world->phase == PHASE_END && !world->draining && !client->left)
        client_leave(client, random_below(&client->random, 4) != 0);
    else if (client->state == CLIENT_OPEN && !client->misbehaved && !client->close_sent && !client->close_received) {
        if (world->phase == PHASE_FLOW)
            chatter(client);
        if (world->phase == PHASE_FLOW && chance(&client->random, world->plan.client_fault_permille))
            client_misbehave(client);
    }
}
