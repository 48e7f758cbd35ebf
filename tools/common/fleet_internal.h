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
    FLEET_MEMBER_CLOSING, /* what still arrives is dropped */
};

struct fleet_member {
    struct connection *connection;
    struct list_node link; /* in the fleet's `queue` or `timed` */
    uint64_t due_ns;       /* when its state needs an action; CLOCK_NEVER: at no given time */
    uint64_t leave_ns;     /* when an open member with `stay_ns` leaves; else CLOCK_NEVER */
    uint64_t read_ns;      /* time up to which a slow reader has used its allowance */
    struct fleet_behaviour behaviour;
    struct ws_client client;
    uint8_t *head;      /* memory of `client` for the upgrade's answer; NULL outside the upgrade */
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
    uint64_t next_scan_ns; /* when `timed` is scanned next */
    struct fleet_member *members;
};

extern const struct engine_handler fleet_engine_handler;

/* The member's number. */
uint32_t fleet_member_number(const struct fleet *fleet, const struct fleet_member *member);

/* ws_client_options.draw: the next random number, for keys and masks; `context` is the fleet. */
uint64_t fleet_next_random(void *context);

/* Has the member's due action performed at `due_ns`; CLOCK_NEVER: at no given time. */
void fleet_member_set_due(struct fleet *fleet, struct fleet_member *member, uint64_t due_ns);

/* Begins to close an open connection: sends a close frame, then the end of the stream. */
void fleet_member_close(struct fleet *fleet, struct fleet_member *member, uint16_t code);

/* Resets the connection; `error` is what the `ended` handler gets, unless the member has an error already. */
void fleet_member_abort(struct fleet *fleet, struct fleet_member *member, int error);

/* Frees the memory for the upgrade's answer, if the member has any. */
void fleet_member_free_head(struct fleet_member *member);

/* Handles the end of a connection: calls the `ended` handler, and schedules the return of a member that returns. */
void fleet_member_ended(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns);

/* Does what is due at `now_ns` for an open member: leave, or read on. */
void fleet_member_open_due(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns);

#endif
