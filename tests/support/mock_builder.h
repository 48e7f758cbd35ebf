/* A builder on the simulated network that serves flashblocks over WebSocket, with TLS or without, and misbehaves on demand. */
#ifndef TESTS_SUPPORT_MOCK_BUILDER_H
#define TESTS_SUPPORT_MOCK_BUILDER_H

#include "flashrelay/engine_sim.h"
#include "flashrelay/ws.h"
#include "support/tls_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOCK_BUILDER_SESSIONS = 64, MOCK_BUILDER_PORT = 1111 };

struct mock_builder;

/* One connection of a builder, from the builder's side. */
struct mock_session {
    struct mock_builder *builder;
    struct connection *connection; /* NULL: gone */
    char head[1024];
    size_t head_length;
    bool upgraded;
    struct ws_reader reader;
    uint8_t *out; /* bytes to be sent that did not fit the connection's extents yet */
    size_t out_length;
    unsigned pings, pongs;
    uint64_t first_ping_ns, last_ping_ns;
    uint8_t pong[WS_MAX_CONTROL_BYTES];
    size_t pong_length;
    uint16_t close_code; /* of the relay's close frame, 0 before it */
    uint64_t accepted_ns, closed_ns;
};

struct mock_builder {
    struct engine *engine;
    struct ip_address ip;
    struct mock_session sessions[MOCK_BUILDER_SESSIONS];
    unsigned count;
    bool silent;        /* never answers the request to upgrade */
    bool mute;          /* never answers pings */
    bool clinging;      /* never answers a close */
    const char *answer; /* sent instead of the 101 */
    struct tls_server *tls;
};

/*
 * Starts builder `number` (from 0) at 10.0.0.(number + 1); `builder` must be zeroed. The caller disposes of it, before the
 * network.
 */
void mock_builder_init(struct mock_builder *builder, struct sim_network *network, unsigned number, bool listening);
void mock_builder_dispose(struct mock_builder *builder);

/* Opens the builder's port, if mock_builder_init did not. */
void mock_builder_listen(struct mock_builder *builder);

/* The newest connection, or NULL if it is not upgraded or has ended. */
struct mock_session *mock_builder_session(struct mock_builder *builder);

/* Sends a whole message on the newest connection, which must be open. */
void mock_builder_send(struct mock_builder *builder, uint8_t opcode, const void *payload, size_t length);
void mock_builder_send_text(struct mock_builder *builder, const char *text);

/* Resets the newest connection, which must be open. */
void mock_builder_abort(struct mock_builder *builder);

/* Sends bytes unchanged, through TLS if the builder uses it. */
void mock_session_send(struct mock_session *session, const void *bytes, size_t length);

/* Sends a frame; `fin` is its FIN bit. */
void mock_session_send_frame(struct mock_session *session, uint8_t opcode, bool fin, const void *payload, size_t length);
void mock_session_send_close(struct mock_session *session, uint16_t code);

/* Sends bytes to the socket, past TLS. */
void mock_session_queue(struct mock_session *session, const void *bytes, size_t length);

/* Sends the records that the TLS server has to send. */
void mock_session_queue_records(struct mock_session *session);

#endif
