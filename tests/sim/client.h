/* Subscribers: what they do, and what they check of what they get. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"
#include "sim/line.h"

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
    bool disturbed;  /* was reset, or stalled, or does not answer pings: may be cut off */
    bool close_sent, close_received, mute;
    bool was_blocked; /* its socket refused bytes at some moment */

    /*
     * Since when it refuses bytes and has not taken all, as the lag policy may see it at the most, and must see it at the least: who took
     * all and was offered more within one turn may have been seen to keep up.
     */
    bool behind;
    struct refusal {
        uint64_t head, ns;
    } refused_first, refused_surely;
    bool may_have_kept_up;         /* and has not refused bytes since */
    uint64_t took_ns;              /* when it last took a byte */
    uint64_t taken_at;             /* changes when it took some */
    uint64_t offered_to;           /* the end of what it had been offered */
    bool may_be_cut_if_it_refuses; /* in this turn: it is far behind, and waits for its turn to be served */
    unsigned shard;                /* whose it is then */
    uint64_t finishing_since_ns;   /* when the relay began to end it; 0: it has not */
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
