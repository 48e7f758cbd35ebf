/* What the fleet's files share: the member and its life. */
#ifndef TOOLS_COMMON_FLEET_INTERNAL_H
#define TOOLS_COMMON_FLEET_INTERNAL_H

#include "common/fleet.h"
#include "common/text.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_kind.h"
#include "flashrelay/list.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"

#define FLEET_HANDSHAKE_TIMEOUT_NS (20 * NS_PER_S)
#define FLEET_CLOSE_TIMEOUT_NS     (5 * NS_PER_S)

enum fleet_member_state {
    FLEET_MEMBER_AWAY,
    FLEET_MEMBER_RETURNING,  /* away until `due_ns` */
    FLEET_MEMBER_QUEUED,     /* waits for its turn to connect */
    FLEET_MEMBER_CONNECTING, /* until connected */
    FLEET_MEMBER_UPGRADING,  /* until the answer is whole */
    FLEET_MEMBER_OPEN,
    FLEET_MEMBER_CLOSING, /* what still comes is dropped */
};

struct fleet_member {
    struct connection *connection;
    struct list_node link; /* in the queue, or among those with something due */
    uint64_t due_ns;       /* when its state needs attention, CLOCK_NEVER: not by time */
    uint64_t leave_ns;     /* of an open one that stays for a while */
    uint64_t read_ns;      /* up to when a slow one has used its allowance */
    struct fleet_behaviour behaviour;
    struct ws_client client;
    uint8_t *head;      /* memory of `client` for the upgrade's answer, meanwhile */
    struct text reason; /* for `ended` */
    int error, status;
    uint16_t close_code;
    uint8_t state; /* enum fleet_member_state */
    bool was_open, leaving;
};

struct fleet {
    struct fleet_options options;
    struct ws_client_options client_options;
    struct engine_choice engines;
    struct engine *engine;
    struct address address;
    struct random random;
    struct fleet_figures figures;
    struct list_node queue, timed;
    uint64_t next_scan_ns; /* when to look through `timed` */
    struct fleet_member *members;
};

extern const struct engine_handler fleet_engine_handler;

/* The member's number. */
uint32_t fleet_member_number(const struct fleet *fleet, const struct fleet_member *member);

/* The next random number, of keys and masks; `context` is the fleet. */
uint64_t fleet_draw(void *context);

/* Lets member_due be called at `due_ns`. */
void fleet_member_set_due(struct fleet *fleet, struct fleet_member *member, uint64_t due_ns);

/* Opens the closing of an open connection: a close frame, then the end of the stream. */
void fleet_member_close(struct fleet *fleet, struct fleet_member *member, uint16_t code);

/* Resets the connection; `error` is what `ended` will tell. */
void fleet_member_abort(struct fleet *fleet, struct fleet_member *member, int error);

/* Gives back the memory for the upgrade's answer, if it has any. */
void fleet_member_free_head(struct fleet_member *member);

/* The connection is gone: tells, and lets the member return if it does. */
void fleet_member_ended(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns);

/* Does what is due at `now_ns` for an open member: leave, or read on. */
void fleet_member_open_due(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns);

#endif
