/* A subscriber's own actions: it connects, sends harmless frames, stalls, and leaves. */
#include "sim/world.h"

#include <string.h>

#define ACT_NS (60 * NS_PER_MS) /* on average */

static struct sim_world *world_of(const struct client *client)
{
    return client->line.world;
}

void client_ping(struct client *client)
{
    client->next_ping++;
    client_send_control(client, WS_PING, &client->next_ping, sizeof client->next_ping);
}

/* --- connecting --- */

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
    request_send(client);
    client->stream.from = record_head(record_of(client)) + 1;
    if (client->expected_status == 101 && random_below(&client->random, 6) == 0)
        client_ping(client); /* without waiting for the answer */
}

void client_connect(struct client *client)
{
    struct sim_world *world = world_of(client);
    const struct address relay = {.ip = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}}, .port = RELAY_PORT};
    struct sim_line *line = &client->line;

    line->length = line->said_bytes = line->taken_bytes = 0;
    line->finish = false;
    client->message_length = 0;
    memset(&client->stream, 0, sizeof client->stream);
    client->next_ping = client->next_pong = client->pings_received = 0;
    client->misbehaved = client->flooded = client->left = client->mute = false;
    client->timed_out_status = 0;
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

/* --- acting --- */

void client_stall(struct client *client, bool stalled)
{
    struct sim_world *world = world_of(client);

    trace(world, "client %u: %s", client->index, stalled ? "stalls" : "reads again");
    client->unstall_ns = stalled ? sim_world_now(world) + between(&client->random, NS_PER_MS, 1500 * NS_PER_MS) : 0;
    sim_connection_stall(client->line.connection, stalled);
}

/* Sends something harmless: a ping, or data, which the relay drops. */
static void chatter(struct client *client)
{
    uint64_t choice = random_below(&client->random, 8);

    if (choice == 0) {
        client_ping(client);
    } else if (choice == 1) {
        client_say_data(client, 0x82, random_below(&client->random, 2000));
    } else if (choice == 2) {
        client_say_data(client, 0x01, 0); /* an empty first fragment of a text ... */
        client_say_data(client, 0x80, 0); /* ... and its end */
    }
}

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
        if (world->phase == PHASE_FLOW && chance(&client->random, world->plan.client.flood_permille))
            client_flood(client);
        if (world->phase == PHASE_FLOW && chance(&client->random, world->plan.client.fault_permille))
            client_misbehave(client);
    }
}
