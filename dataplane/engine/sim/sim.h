/* Inside the simulator: links between two ends, the events that happen to them, and the engines at their ends. */
#ifndef DATAPLANE_ENGINE_SIM_SIM_H
#define DATAPLANE_ENGINE_SIM_SIM_H

#include "engine/base.h"
#include "engine/extents.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/list.h"

/* The side of a link that called engine_connect, and the one that accepted. */
enum sim_side { SIM_CONNECTOR, SIM_ACCEPTOR };

enum sim_event_kind {
    SIM_EVENT_SYN,           /* reaches the listener */
    SIM_EVENT_CONNECTED,     /* the connector learns how connecting ended */
    SIM_EVENT_SEGMENT,       /* the next segment in flight reaches `side` */
    SIM_EVENT_FIN,           /* reaches `side` */
    SIM_EVENT_RESET,         /* reaches `side` */
    SIM_EVENT_NETWORK_RESET, /* both sides fail */
    SIM_EVENT_ROOM,          /* `side` learns that there is room again */
    SIM_EVENT_SENT,          /* a late send of `side` is answered */
    SIM_EVENT_NOTIFIED,      /* `side` learns what became of bytes that it sent */
    SIM_EVENT_CANCELLED,     /* every operation that `side` had begun before its abort has ended */
};

struct sim_event {
    uint64_t at_ns;
    uint64_t order; /* among events of the same time: first scheduled, first happens */
    struct sim_link *link;
    uint8_t kind; /* enum sim_event_kind */
    uint8_t side;
};

/* Some bytes on their way, or arrived and not consumed. */
struct sim_segment {
    struct list_node node;
    uint32_t length, consumed;
    const uint8_t *reference; /* the log's memory, if the segment was sent by reference and has not arrived; else NULL */
    uint64_t sequence;        /* the lowest frame referred to; HOLDS_NONE: none */
    uint8_t bytes[];
};

/* A notification on its way to a sender: bytes that it sent by reference are read no more, or bytes were acknowledged. */
struct sim_notification {
    struct list_node node;
    uint64_t due_ns;
    uint64_t sequence;     /* the lowest frame referred to; HOLDS_NONE: none */
    uint32_t acknowledged; /* bytes */
};

/* One direction of a link. */
struct sim_stream {
    struct list_node in_flight, arrived; /* of sim_segment */
    size_t unread_bytes;                 /* in flight or arrived */
    uint64_t last_due_ns;                /* bytes sent later arrive no earlier */
    bool broken;                         /* something on its way was lost for good */
    bool fin_arrived;
};

struct sim_link {
    struct sim_network *network;
    struct address addresses[2];
    struct sim_connection *ends[2];    /* NULL: not yet accepted, or gone */
    struct sim_stream streams[2];      /* towards this side */
    int errors[2];                     /* the error that this side fails with; 0: none */
    struct list_node notifications[2]; /* of sim_notification, on their way to this side */
    size_t acknowledged[2];            /* bytes acknowledged to this side and not yet reported to its handler */
    bool stalled[2];
    bool vanished[2]; /* this side is gone, and its peer gets no reset */
    bool room_scheduled[2];
    unsigned references; /* ends, events, backlog */
    struct list_node backlog_node;
};

struct sim_network {
    struct sim_network_options options;
    struct random random;
    uint64_t now_ns;
    struct sim_event *events; /* a binary heap, the earliest first */
    size_t event_count, event_capacity;
    uint64_t event_order;
    struct list_node engines;
    uint16_t next_port;
};

struct sim_connection {
    struct connection common;
    struct sim_engine *engine;
    struct sim_link *link;
    uint8_t side;
    bool connecting, connected; /* the answer to engine_connect is outstanding; has come */
    bool cancelling;            /* aborted, and operations that were begun before are outstanding */
    bool late_send;             /* a send waits for its answer ... */
    bool late_send_answered;    /* ... which has come */
    bool writable;              /* room was announced */
    bool paused, resumed;       /* `received` left bytes; engine_receive_resume was called meanwhile */
    bool fin_sent, fin_reported;
    int error; /* the error that `closed` will report, if dead */
    uint64_t aborted_in_turn;
    struct list_node node;       /* in the engine's connections */
    struct list_node ready_node; /* ... and in its ready ones */
    struct list_node serve_node; /* ... and in its order of service */
};

struct sim_listener {
    struct address address;
    struct list_node backlog; /* of sim_link */
    unsigned backlog_count, backlog_limit;
    bool open, paused, stopping;
};

struct sim_engine {
    struct engine common;
    struct sim_network *network;
    struct list_node node; /* in the network's engines */
    struct ip_address ip;
    struct sim_listener listener;
    struct list_node connections, ready, to_serve;
    uint32_t connection_count;
    uint64_t turn;
    uint64_t reported_until_ns; /* everything that had happened by then has been reported to the handler */
    bool no_descriptors;
    bool starved; /* in this turn, connections were not read for want of buffers */
    bool woken;
    struct sim_connection **order; /* scratch memory of a turn: the ready connections, shuffled */
    size_t order_capacity;
};

static inline struct sim_engine *sim_engine_of(struct engine *engine)
{
    return (struct sim_engine *)(void *)engine;
}

static inline struct sim_connection *sim_connection_of(struct connection *connection)
{
    return (struct sim_connection *)(void *)connection;
}

static inline uint8_t sim_peer_of(const struct sim_connection *connection)
{
    return connection->side ^ 1;
}

static inline const struct engine_handler *sim_handler_of(const struct sim_connection *connection)
{
    return connection->engine->common.options.handler;
}

static inline void *sim_context_of(const struct sim_connection *connection)
{
    return connection->engine->common.options.context;
}

static inline uint64_t sim_now_of(const struct sim_connection *connection)
{
    return connection->engine->network->now_ns;
}

static inline struct engine *sim_connection_engine(const struct sim_connection *connection)
{
    return &connection->engine->common;
}

/* Allocates zeroed memory; calls abort() if there is none. */
void *sim_allocate(size_t bytes);

/* --- network (sim_network.c) --- */

/* True with a chance of `permille` in 1,000. */
bool sim_chance(struct sim_network *network, uint32_t permille);
uint64_t sim_delay(struct sim_network *network);
void sim_schedule(struct sim_link *link, enum sim_event_kind kind, uint8_t side, uint64_t at_ns);

/* --- links (sim_link.c) --- */

struct sim_link *sim_link_create(struct sim_network *network);
void sim_link_reference(struct sim_link *link);
void sim_link_release(struct sim_link *link);

/* How many bytes the stream towards `side` takes now. */
size_t sim_link_room(const struct sim_link *link, uint8_t side);

/* Sends bytes to `side`: copied; or, if `sequence` (the lowest frame among them) is not HOLDS_NONE, by reference: read only on arrival. */
void sim_link_send(struct sim_link *link, uint8_t side, const uint8_t *bytes, size_t length, uint64_t sequence);
void sim_link_send_fin(struct sim_link *link, uint8_t side);

/* The lowest frame that bytes sent by `side` refer to, as far as `side` has been notified; HOLDS_NONE if none. */
uint64_t sim_link_pinned(const struct sim_link *link, uint8_t side);

/* `side` has consumed `bytes` of `segment`; its peer learns of the room if it is blocked. */
void sim_link_consume(struct sim_link *link, uint8_t side, struct sim_segment *segment, uint32_t bytes);

/* Schedules the event that tells `side` of room, also if there is room already. */
void sim_link_announce_room(struct sim_link *link, uint8_t side);

/* Reads now the bytes that `side` has sent by reference. `side` is notified of that later; with a TCP of its own it unpins them at once. */
void sim_link_read_references(struct sim_link *link, uint8_t side);

/* `side` resets the link: its peer gets the reset, and at random also the bytes that were on their way before. Calls sim_link_read_references. */
void sim_link_abort(struct sim_link *link, uint8_t side);

/* `side` disappears, and fails: nothing that it sent arrives any more, and nothing arrives at it. Its peer gets no reset. */
void sim_link_vanish(struct sim_link *link, uint8_t side);

/* Both sides fail at once; what is on its way is lost. */
void sim_link_fail(struct sim_link *link);

/* `side` was reset: at random, the bytes that it has not consumed are lost. */
void sim_link_forget_arrived(struct sim_link *link, uint8_t side);

/* Carries out an event that is due. */
void sim_link_carry_out(struct sim_link *link, const struct sim_event *event);

/* --- connections (sim_connection.c) --- */

struct sim_connection *sim_connection_create(struct sim_engine *engine, struct sim_link *link, uint8_t side);

/* Releases the extents and pins of the connection, takes it off its engine, its link and all lists, and frees it. */
void sim_connection_destroy(struct sim_connection *connection);

/* Notes that the engine's next turn has something to do for the connection. */
void sim_connection_ready(struct sim_connection *connection);

/* Puts the connection at the end of its engine's order of service, unless it is there already. */
void sim_connection_queue(struct sim_connection *connection);

/* Does what is due for a connection that is ready; it may be freed afterwards. */
void sim_connection_handle(struct sim_connection *connection);

/* --- sending (sim_send.c) --- */

/* Serves the connection once: offers the next contiguous bytes of its stream. */
void sim_connection_serve(struct sim_connection *connection);

/* Completes a late send, if its answer has come. */
void sim_connection_late_send(struct sim_connection *connection);

/* If room was announced, the connection is blocked no more and is queued for service. */
void sim_connection_room(struct sim_connection *connection);

/* Reports acknowledged bytes by themselves, if the connection is blocked or finishing. */
void sim_connection_report_acknowledged(struct sim_connection *connection);

/* Pins the frame that sim_link_pinned returns, or none. */
void sim_connection_update_pin(struct sim_connection *connection);

/* --- listening (sim_listen.c), as engine.h says --- */

uint16_t sim_take_port(struct sim_network *network);
int sim_listen(struct engine *engine, const struct address *address, const struct engine_listen_options *options);
void sim_accept_pause(struct engine *engine, bool paused);
void sim_listen_stop(struct engine *engine);

/* True if a queued connection can be accepted now. */
bool sim_may_accept(const struct sim_engine *engine);

/* Accepts all queued connections that can be accepted now, then closes a listener that is to stop. */
void sim_accept_queued(struct sim_engine *engine);

/* Closes the listener. Connections that are still queued are reset, as the kernel does when a listener with a backlog is closed. */
void sim_close_listener(struct sim_engine *engine);

/* The listener that a SYN to `address` reaches, or NULL; of several that share a port one is drawn, as SO_REUSEPORT does by a hash. */
struct sim_engine *sim_find_listener(struct sim_network *network, const struct address *address);

#endif
