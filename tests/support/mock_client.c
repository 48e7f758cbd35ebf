#include "support/mock_client.h"

#include "support/ignored_events.h"
#include "support/ip.h"
#include "support/shard_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void note_data(struct shard_world *world, struct mock_client *client, const struct ws_event *event)
{
    uint64_t sequence;

    sequence = client->first_sequence + client->messages;
    assert_int_equal(event->opcode, WS_BINARY);
    for (size_t i = 0; i < event->length; i++)
        client->bad_bytes += event->bytes[i] != shard_world_byte(sequence, client->message_bytes + i);
    client->message_bytes += event->length;
    if (!event->last)
        return;
    assert_int_equal(client->message_bytes, world->sizes[sequence]);
    client->messages++;
    client->message_bytes = 0;
}

static void note(struct shard_world *world, struct mock_client *client, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        note_data(world, client, event);
        break;
    case WS_EVENT_PING:
        client->pings++;
        break;
    case WS_EVENT_PONG:
        client->pongs++;
        client->messages_before_pong = client->messages;
        memcpy(client->last_pong, event->bytes, event->length);
        client->last_pong[event->length] = '\0';
        break;
    case WS_EVENT_CLOSE:
        client->close_code = event->code;
        memcpy(client->close_reason, event->bytes, event->length);
        client->close_reason[event->length] = '\0';
        break;
    case WS_EVENT_ERROR:
        fail_msg("the relay breaks the protocol: %s", event->reason);
    }
}

static void read_frames(struct shard_world *world, struct mock_client *client, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        struct ws_event event;
        size_t taken = ws_read(&client->reader, bytes, length, &event);

        note(world, client, &event);
        bytes += taken;
        length -= taken;
    }
}

static size_t read_head(struct mock_client *client, const uint8_t *bytes, size_t length)
{
    size_t taken = 0;

    while (taken < length && !client->upgraded) {
        assert_true(client->head_bytes < sizeof client->head - 1);
        client->head[client->head_bytes++] = (char)bytes[taken++];
        client->upgraded = client->head_bytes > 12 && memcmp(client->head, "HTTP/1.1 101", 12) == 0 &&
                           memcmp(client->head + client->head_bytes - 4, "\r\n\r\n", 4) == 0;
    }
    return taken;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct shard_world *world = context;
    struct mock_client *client = connection->owner;
    size_t taken;

    (void)now_ns;
    if (length == 0) {
        client->ended = true;
        if (!client->lingers)
            engine_finish(world->outside, connection);
        return 0;
    }
    taken = read_head(client, bytes, length);
    read_frames(world, client, bytes + taken, length - taken);
    return length;
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct mock_client *client = connection->owner;

    (void)context;
    (void)now_ns;
    assert_int_equal(error, 0);
    client->connected = true;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct mock_client *client = connection->owner;

    (void)context;
    (void)now_ns;
    client->closed = true;
    client->close_error = error;
    client->connection = NULL;
}

static const struct engine_handler handler = {
    .connected = on_connected,
    .received = on_received,
    .progressed = ignore_progressed,
    .closed = on_closed,
    .woken = ignore_woken,
};

void mock_clients_open(struct shard_world *world)
{
    struct ip_address ip = ip_of("10.0.0.2");
    const struct engine_options options = {.handler = &handler,
                                           .context = world,
                                           .max_connections = SHARD_WORLD_CLIENTS,
                                           .receive_buffers = 16,
                                           .receive_buffer_bytes = 4096,
                                           .sends_per_turn = 256};

    assert_int_equal(engine_sim_create(&world->outside, &options, world->network, &ip), 0);
}

void mock_client_say(struct shard_world *world, struct mock_client *client, const void *bytes, size_t length)
{
    assert_int_equal(engine_append_bytes(world->outside, client->connection, bytes, length), 0);
    engine_serve(world->outside, client->connection);
}

void mock_client_say_frame(struct shard_world *world, struct mock_client *client, uint8_t opcode, const void *payload,
                           size_t length)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t *frame = malloc(WS_MAX_HEADER_BYTES + length);
    size_t header = ws_write_header(frame, opcode, length, mask);

    if (length > 0)
        memcpy(frame + header, payload, length);
    ws_mask(frame + header, length, mask, 0);
    mock_client_say(world, client, frame, header + length);
    free(frame);
}

struct mock_client *mock_client_dial(struct shard_world *world)
{
    struct address address = {.ip = ip_of("10.0.0.1"), .port = SHARD_WORLD_PORT};
    struct mock_client *client = &world->clients[world->client_count++];

    assert_true(world->client_count <= SHARD_WORLD_CLIENTS);
    ws_reader_init(&client->reader, WS_CLIENT, UINT32_MAX);
    client->connection = engine_connect(world->outside, &address, client);
    assert_non_null(client->connection);
    return client;
}

struct mock_client *mock_client_request(struct shard_world *world, const char *request)
{
    struct mock_client *client = mock_client_dial(world);

    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, client, request, strlen(request));
    shard_world_run(world, NS_PER_MS);
    client->first_sequence = world->sequence + 1;
    return client;
}

struct mock_client *mock_client_subscribe(struct shard_world *world)
{
    struct mock_client *client = mock_client_request(world, "GET /ws HTTP/1.1\r\n" UPGRADE_HEADERS);

    for (unsigned i = 0; i < 100 && !client->upgraded; i++)
        shard_world_run(world, NS_PER_MS);
    assert_true(client->upgraded);
    return client;
}

bool mock_client_was_answered(const struct mock_client *client, int status, const char *text)
{
    char line[32];

    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    return strncmp(client->head, line, strlen(line)) == 0 && strstr(client->head, text);
}
