/* Simulated subscribers: their actions, and their checks of what they receive. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws_client.h"
#include "sim/line.h"
#include "sim/request.h"
#include "sim/witness.h"

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_ASKING, CLIENT_OPEN, CLIENT_REFUSED, CLIENT_LEAVING };

struct client {
    struct sim_line line;
    unsigned index;
    struct random random;
    enum client_state state;
    uint64_t act_ns, unstall_ns;
    uint64_t opened_ns;

    /* Its request on the current connection. */
    unsigned place;      /* of request.h: the address that the relay must attribute to it */
    uint16_t app;        /* the app whose key it has, or ADMISSION_NO_APP */
    uint8_t channel;     /* the channel that it will follow, as the plane numbers them */
    uint16_t selection;  /* of that channel */
    int expected_status; /* of the answer; 0: no answer, as it sends half a request */
    char path[REQUEST_PATH_BYTES];
    struct ws_uri uri; /* with that path */

    /* What it has received. */
    struct ws_client_options ws_options;
    struct ws_client ws; /* not told of the client's close frames, so that it reports everything that arrives after them */
    uint8_t head[WS_CLIENT_HEAD_BYTES];
    uint8_t *message;
    size_t message_length;
    struct {
        uint64_t from, to; /* bounds of the first frame's sequence number */
        uint64_t first;    /* the first frame's sequence number, as assumed; 0: no frame yet */
        uint64_t received; /* frames received so far */
        uint64_t next;     /* the next frame has this sequence number or a higher one */
    } stream;
    uint64_t next_ping, next_pong; /* payloads of the last ping sent, and of the last pong received */
    uint64_t pings_received;

    /* What it did, and what the relay did to it. */
    bool misbehaved; /* broke the protocol on purpose */
    bool flooded;    /* sent more than a subscriber may */
    bool left;       /* began to leave by itself */
    bool close_sent, close_received, mute;
    int timed_out_status;        /* of its shard's answer when the handshake took too long; 0: it did not */
    enum disconnect_cause cause; /* why its shard ends it; DISCONNECT_CAUSES: the shard has given no cause */
    struct testimony testimony;
    uint64_t ending_since_ns; /* when the relay was first seen to end the connection; 0: it does not end it */
};

void client_create(struct sim_world *world, unsigned index);
void client_destroy(struct client *client);
uint64_t client_deadline(const struct client *client);
void client_act(struct client *client);
void client_connected(struct client *client, int error);
size_t client_received(struct client *client, uint8_t *bytes, size_t length);
void client_closed(struct client *client, int error);
void client_connect(struct client *client);
void client_leave(struct client *client, bool politely);
void client_stall(struct client *client, bool stalled);
void client_send_close(struct client *client, uint16_t code);
void client_send_control(struct client *client, uint8_t opcode, const void *payload, size_t length);
void client_ping(struct client *client);

/* --- faults and floods (client_faults.c) --- */

void client_misbehave(struct client *client);
/* Sends more than a subscriber may, or thousands of pings. */
void client_flood(struct client *client);
/* Sends a frame with this first byte, valid or not, and `length` bytes of data, of which at most SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES follow. */
void client_say_data(struct client *client, uint8_t first_byte, size_t length);

#endif
