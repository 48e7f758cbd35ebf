/* Faults and floods of subscribers. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#define FLOOD_PINGS 2000
#define FLOOD_BYTES (UINT64_C(1) * SHARD_RECEIVE_BYTES_PER_S * SHARD_RECEIVE_WINDOW_S)

static struct sim_world *world_of(const struct client *client)
{
    return client->line.world;
}

void client_say_data(struct client *client, uint8_t first_byte, size_t length)
{
    static const uint8_t mask[4] = {9, 9, 9, 9};
    static const uint8_t junk[SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES] = {9};
    uint8_t header[WS_MAX_HEADER_BYTES];
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
        client_say_data(client, 0x83, 10); /* no such opcode */
        break;
    case 2:
        client_say_data(client, 0xc2, 10); /* reserved bit */
        break;
    default:
        client_say_data(client, 0x82, SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES + 1);
    }
}

/* The client's machine disappears, and the relay is not told. */
static void vanish(struct client *client)
{
    client->left = true;
    sim_connection_vanish(client->line.connection);
}

void client_misbehave(struct client *client)
{
    uint64_t choice = random_below(&client->random, 6);

    trace(world_of(client), "client %u: misbehaves (%llu)", client->index, (unsigned long long)choice);
    switch (choice) {
    case 0:
        break_protocol(client);
        break;
    case 1:
        client->mute = true;
        break;
    case 2:
        client_leave(client, false);
        break;
    case 3:
        vanish(client);
        break;
    default:
        client_stall(client, true);
    }
}

void client_flood(struct client *client)
{
    trace(world_of(client), "client %u: floods", client->index);
    if (random_below(&client->random, 2) == 0) {
        for (unsigned i = 0; i < FLOOD_PINGS; i++)
            client_ping(client);
        return;
    }
    client->flooded = true;
    for (uint64_t said = 0; said <= FLOOD_BYTES; said += SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES)
        client_say_data(client, 0x82, SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES);
}
