/* The subscribers' side of a shard's world, as their WebSocket libraries would see it. A violation of the protocol by the relay fails the test. */
#ifndef TESTS_SUPPORT_MOCK_CLIENT_H
#define TESTS_SUPPORT_MOCK_CLIENT_H

#include "flashrelay/engine.h"
#include "flashrelay/ws.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The rest of a request that subscribes, behind its first line. */
#define UPGRADE_HEADERS                                                                         \
    "Host: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

struct shard_world;

/* One subscriber, and what it received. */
struct mock_client {
    struct connection *connection;
    bool connected, closed, ended; /* `ended`: the relay's FIN came */
    bool lingers;                  /* it does not answer the relay's FIN with its own; set by tests */
    int close_error;
    char head[1024]; /* the answer to its request; all bytes received, if that was no upgrade */
    size_t head_bytes;
    bool upgraded;
    struct ws_reader reader;
    uint64_t messages, message_bytes; /* data messages, and bytes of the current one */
    uint64_t bad_bytes;               /* bytes that differ from what was published */
    uint64_t first_sequence;          /* of the first message that it must receive */
    unsigned pings, pongs;
    uint64_t messages_before_pong; /* data messages received before the last pong */
    char last_pong[WS_MAX_CONTROL_BYTES + 1];
    uint16_t close_code; /* 0: no close frame came */
    char close_reason[WS_MAX_CONTROL_BYTES];
};

/* Makes the engine of all clients, world->outside. */
void mock_clients_open(struct shard_world *world);

/* Adds a client to the world, and begins to connect it. */
struct mock_client *mock_client_dial(struct shard_world *world);

/* Connects a client and sends `request`, in 2 ms of virtual time. If the request subscribes, the client must receive all further messages. */
struct mock_client *mock_client_request(struct shard_world *world, const char *request);

/* Subscribes a client at /ws, and waits until it is upgraded. */
struct mock_client *mock_client_subscribe(struct shard_world *world);

/* Sends bytes unchanged. */
void mock_client_say(struct shard_world *world, struct mock_client *client, const void *bytes, size_t length);

/* Sends a masked frame. */
void mock_client_say_frame(struct shard_world *world, struct mock_client *client, uint8_t opcode, const void *payload,
                           size_t length);

/* True if the answer has this status, and this text somewhere. */
bool mock_client_was_answered(const struct mock_client *client, int status, const char *text);

#endif
