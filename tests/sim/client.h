/* Subscribers: what they do, and what they check of what they get. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws_client.h"
#include "sim/line.h"
#include "sim/witness.h"

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_ASKING, CLIENT_OPEN, CLIENT_REFUSED, CLIENT_LEAVING };

struct client {
    struct sim_line line;
    unsigned index;
    struct random random;
    enum client_state state;
    uint64_t act_ns, unstall_ns;
    uint64_t opened_ns;

    /* Of the current connection. */
    int expected_status; /* of the answer; 0: none, we send half a request */
    struct ws_client_options ws_options;
    struct ws_client ws; /* not told of a close of ours, so that it reports all that comes behind it */
    uint8_t head[WS_CLIENT_HEAD_BYTES];
    uint8_t *message;
    size_t message_length;
    uint64_t first_from, first_to; /* the first frame has a sequence number between these */
    uint64_t first, received;      /* as assumed, and how many frames since; first 0: none yet */
    uint64_t next_ping, next_pong;
    uint64_t pings_received;
    bool misbehaved; /* broke the protocol on purpose */
    bool left;       /* began to leave by itself */
    bool close_sent, close_received, mute;
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
void client_misbehave(struct client *client);
void client_send_close(struct client *client, uint16_t code);
void client_send_control(struct client *client, uint8_t opcode, const void *payload, size_t length);

#endif
