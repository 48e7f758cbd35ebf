/* One WebSocket connection that echoes, in either role. */
#ifndef TESTS_WS_ECHO_SESSION_H
#define TESTS_WS_ECHO_SESSION_H

#include "flashrelay/engine.h"
#include "flashrelay/http.h"
#include "flashrelay/list.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"
#include "outlet.h"

#include <stdbool.h>

enum echo_session_state { ECHO_SESSION_HANDSHAKE, ECHO_SESSION_OPEN, ECHO_SESSION_ENDING };

/* What all sessions of the program share. */
struct echo {
    struct engine *engine;
    struct ws_client_options client; /* its `uri`: of the server to connect to; NULL: the program is the server */
    struct outlet *unused_outlets;
    struct list_node sessions;
    struct random random;
    bool connecting;
    bool upgraded; /* as a client: the server accepted the upgrade */
};

/* The last message, or whole control frame, to be sent. */
struct reply {
    bool waiting; /* for room */
    uint8_t opcode;
    const uint8_t *bytes;
    size_t length;
};

struct echo_session {
    struct list_node node;
    struct echo *echo;
    struct connection *connection;
    enum echo_session_state state;
    bool is_closing;       /* our close frame is sent, or waits for room */
    uint64_t deadline_ns;  /* of the handshake, or of the end; CLOCK_NEVER while open */
    struct outlet *outlet; /* server: messages on their way out */
    union {
        struct ws_reader reader; /* server */
        struct ws_client client;
    };
    struct reply reply;
    uint8_t control[WS_MAX_CONTROL_FRAME]; /* what a waiting reply points to, if it is a control frame */
    uint8_t *message;                      /* the received part of the message that is being read */
    size_t message_bytes, message_capacity;
    size_t head_bytes; /* server: of the request so far */
    char head[HTTP_MAX_REQUEST_BYTES + 1];
};

/* Starts a session on a connection; NULL if there is no memory. As a client it sends the upgrade request. */
struct echo_session *echo_session_open(struct echo *echo, struct connection *connection, uint64_t now_ns);

/* Frees a session, after its connection closed. */
void echo_session_destroy(struct echo_session *session);

/* Takes bytes that arrived; returns how many: fewer than all while a reply waits for room. */
size_t echo_session_received(struct echo_session *session, uint8_t *bytes, size_t length, uint64_t now_ns);

/* Sends what waits for room, after the peer took bytes. */
void echo_session_progressed(struct echo_session *session, uint64_t now_ns);

/* Closes with `code` (RFC 6455, 7.4). */
void echo_session_close(struct echo_session *session, uint16_t code, uint64_t now_ns);

#endif
