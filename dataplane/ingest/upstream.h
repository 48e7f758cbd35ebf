/*
 * One upstream: keeps it connected, reads it, hands its messages to the publisher. A state machine that is told what happened and the time.
 * upstream_connect.c makes connections, upstream.c has the upstream's creation and the end of connections, upstream_receive.c receives,
 * upstream_send.c sends.
 */
#ifndef DATAPLANE_INGEST_UPSTREAM_H
#define DATAPLANE_INGEST_UPSTREAM_H

#include "base/message_buffer.h"
#include "flashrelay/ws_client.h"
#include "ingest/backoff.h"
#include "ingest/budget.h"
#include "ingest/heartbeat.h"
#include "ingest/publish.h"
#include "ingest/resolver.h"
#include "tls/client.h"

/* How long the upstream has to answer our close with its own and its FIN. */
#define UPSTREAM_CLOSE_TIMEOUT_NS (1 * NS_PER_S)
/* Largest plain text of a TLS record (RFC 8446, 5.1). */
#define UPSTREAM_PLAIN_BYTES 16384

enum upstream_state {
    UPSTREAM_WAITING, /* for the back-off's end, and for the publisher to take a message that came before */
    UPSTREAM_RESOLVING,
    UPSTREAM_CONNECTING,
    UPSTREAM_SECURING,  /* TLS handshake */
    UPSTREAM_UPGRADING, /* HTTP upgrade */
    UPSTREAM_OPEN,
    UPSTREAM_CLOSING, /* our close frame is sent */
    UPSTREAM_STOPPED,
};

struct ingest;

struct upstream {
    struct ingest *ingest;
    const struct ws_uri *uri;
    struct ws_client_options client_options;
    struct upstream_counters counters;
    enum upstream_state state;
    uint64_t deadline_ns; /* of the state; OPEN and STOPPED have none */
    struct backoff backoff;
    struct budget budget; /* of all its connections */

    struct resolver *resolver; /* NULL where the host is an address */
    uint64_t next_poll_ns;     /* of the resolver */
    struct address addresses[RESOLVER_MAX_ADDRESSES];
    unsigned address_count, address_next;
    char problem[512]; /* why the last address failed */

    /* The current connection. When it ends, only a message that waits is kept of it. */
    struct connection *connection;
    uint32_t connection_id; /* number among the connections of the ingest, never used twice */
    struct tls_client *tls;
    uint8_t *plain; /* decrypted bytes, of which plain_taken are consumed */
    size_t plain_length, plain_taken;
    struct ws_client client;
    uint64_t read_ns; /* when bytes were last read */
    bool paused;      /* the budget is spent: not read until a turn that has budget again */
    bool fin_pending; /* the upstream's FIN came while it was not read */
    struct heartbeat heartbeat;
    uint64_t opened_ns;

    struct message_buffer buffer; /* the message so far, or the one that waits; while upgrading, memory for the server's answer */
    struct message message;       /* the last one offered; it waits while it is in the publisher's `waiting` */
};

/* Prepares number `index` of the ingest's options. 0 or -ENOMEM; upstream_dispose takes it back, also of a zeroed struct. */
int upstream_init(struct upstream *upstream, struct ingest *ingest, unsigned index);
void upstream_dispose(struct upstream *upstream);

/* --- events, from the ingest --- */

/* A turn of the ingest begins: renews the budget, and reads on if the upstream was paused. */
void upstream_begin_turn(struct upstream *upstream, uint64_t now_ns);
void upstream_connected(struct upstream *upstream, int error, uint64_t now_ns);
void upstream_closed(struct upstream *upstream, int error, uint64_t now_ns);
/* As the engine's handler `received`; takes less than all where a message has to wait, or the budget is spent. */
size_t upstream_received(struct upstream *upstream, uint8_t *bytes, size_t length, uint64_t now_ns);
/* The publisher is done with the message that waited: reads on. */
void upstream_released(struct upstream *upstream, uint64_t now_ns);
/* Does what is due; to be called when upstream_deadline has passed, or at any time. */
void upstream_tick(struct upstream *upstream, uint64_t now_ns);
uint64_t upstream_deadline(const struct upstream *upstream);
/* Closes with 1001 and connects no more. */
void upstream_stop(struct upstream *upstream, uint64_t now_ns);

/* --- what upstream*.c call of each other --- */

/* Begins to connect: looks the name up, if it is one, and tries each address. */
void upstream_begin_attempt(struct upstream *upstream, uint64_t now_ns);

/* Goes on with the addresses that were found, or gives the look-up up when it takes too long. */
void upstream_poll_resolver(struct upstream *upstream, uint64_t now_ns);

/* Tries the addresses that are left; when there are none, waits for the next attempt. */
void upstream_connect_next(struct upstream *upstream, uint64_t now_ns);

/* Waits for the next attempt; returns how long, in ms (for the log). */
uint64_t upstream_wait(struct upstream *upstream, uint64_t now_ns);

/* Aborts the connection and lets go of it; events of it that still come from the engine find no owner and are ignored. */
void upstream_detach(struct upstream *upstream);

/* True while a message waits for the publisher: then nothing more is read. */
bool upstream_has_waiting_message(const struct upstream *upstream);

/* The handshakes are done: the upstream is open. */
void upstream_opened(struct upstream *upstream, uint64_t now_ns);

/* The connection is of no use any more, `format` says why: tries the next address, or waits to try again. */
void upstream_drop(struct upstream *upstream, uint64_t now_ns, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Closes an open connection with `code`, and waits for the upstream's close. */
void upstream_close(struct upstream *upstream, uint16_t code, const char *reason, uint64_t now_ns);

/* The upstream closed with `code`: answers it. */
void upstream_close_answered(struct upstream *upstream, const struct ws_event *event, uint64_t now_ns);

/* Sends bytes (encrypted where there is TLS). False, and nothing is sent, if there is no room for them, as when the upstream takes no bytes. */
bool upstream_send(struct upstream *upstream, const void *bytes, size_t length);

/* Sends a ping or pong of at most 125 bytes, or the close frame. Same result. */
bool upstream_send_control(struct upstream *upstream, uint8_t opcode, const void *payload, size_t length);
bool upstream_send_close(struct upstream *upstream, uint16_t code, const char *reason);

/* Sends the records that TLS has ready. Same result. */
bool upstream_send_records(struct upstream *upstream);

/* Nothing more will be sent: the FIN follows the bytes that are pending. */
void upstream_finish(struct upstream *upstream);

#endif
