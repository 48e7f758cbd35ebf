/* Subscribers: what they do, and what they check of what they get. */
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

    /* What it asks for on the current connection. */
    unsigned place;      /* of request.h: where it comes from, as the relay is to see it */
    uint16_t app;        /* whose key it has, or ADMISSION_NO_APP */
    uint8_t channel;     /* that it wants to follow, as the plane numbers them */
    uint16_t selection;  /* of that channel */
    int expected_status; /* of the answer; 0: none, it sends half a request */
    char path[REQUEST_PATH_BYTES];
    struct ws_uri uri; /* with that path */

    /* What it has got. */
    struct ws_client_options ws_options;
    struct ws_client ws; /* not told of a close of ours, so that it reports all that comes behind it */
    uint8_t head[WS_CLIENT_HEAD_BYTES];
    uint8_t *message;
    size_t message_length;
    struct {
        uint64_t from, to; /* the first frame has a sequence number between these */
        uint64_t first;    /* as assumed; 0: none yet */
        uint64_t received; /* frames since */
        uint64_t next;     /* what has to come next, at the earliest */
    } stream;
    uint64_t next_ping, next_pong;
    uint64_t pings_received;

    /* What it did, and what was done to it. */
    bool misbehaved; /* broke the protocol on purpose */
    bool flooded;    /* sent more than a subscriber may */
    bool left;       /* began to leave by itself */
    bool close_sent, close_received, mute;
    int timed_out_status;        /* what its shard answered when it was out of patience; 0: it was not */
    enum disconnect_cause cause; /* why its shard ends it; DISCONNECT_CAUSES: it has not said so */
    struct testimony testimony;
    uint64_t ending_since_ns; /* when it was first seen that the relay ends it; 0: it does not */
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

/* --- what it does wrong, or too much of (client_faults.c) --- */

void client_misbehave(struct client *client);
/* Sends more than a subscriber may, or thousands of pings. */
void client_flood(struct client *client);
/* Sends a frame with this first byte, whatever that says, and as much data as it says. */
void client_say_data(struct client *client, uint8_t first_byte, size_t length);

#endif
