/* One subscriber of the crowd: parses its stream and compares it with what the builder sent. Handles bytes, never the socket. */
#ifndef PERF_FLASHBENCH_MEMBER_H
#define PERF_FLASHBENCH_MEMBER_H

#include "flashbench/messages.h"
#include "flashrelay/ws_client.h"

#include <stdbool.h>
#include <stdint.h>

enum crowd_member_state { CROWD_MEMBER_CLOSED, CROWD_MEMBER_CONNECTING, CROWD_MEMBER_UPGRADING, CROWD_MEMBER_OPEN };

struct crowd_member {
    int fd;
    uint32_t column;             /* in the messages' tables */
    uint8_t state;               /* enum crowd_member_state */
    uint8_t kind;                /* enum crowd_kind */
    bool established;            /* every message offered from now on is owed to it */
    bool counted;                /* in the crowd's `owed` */
    bool packed, corrupt, whole; /* the message being received: brotli; differs; is compared whole */
    uint8_t prefix_length;
    uint16_t close_code;
    uint64_t expected;             /* number of the next message */
    uint64_t joined_at;            /* newest message when it was established; up to it, only unsettled messages are owed */
    uint64_t position;             /* payload bytes of the current message so far */
    uint64_t skip_left;            /* bytes of the current frame that the kernel is to drop */
    struct bench_message *message; /* the message being received, once recognised */
    uint8_t *gathered;             /* bytes of the current message, if no equal form is known yet */
    size_t gathered_capacity;
    uint64_t reopen_ns; /* when it reconnects; 0: never */
    uint8_t *head;      /* memory of `client` for the upgrade's answer; NULL outside the upgrade */
    uint8_t prefix[MESSAGE_PREFIX_BYTES];
    struct ws_client client;
};

struct crowd_member_rules {
    struct messages *messages;
    uint64_t skip_above_bytes;
    uint32_t verify_every;
};

/* What the crowd is to do after crowd_member_take. */
enum crowd_member_outcome {
    CROWD_MEMBER_WANTS_MORE,
    CROWD_MEMBER_WANTS_PONG, /* a ping was taken: *event */
    CROWD_MEMBER_ENDED,      /* close frame, whose code is in close_code, or protocol error (close_code 0) */
};

/* Begins the stream of a member whose connection was upgraded. */
void crowd_member_begin(struct crowd_member *member, const struct messages *messages);

/* How many bytes to read next: the beginning of a message, so that the rest can be skipped, or `capacity`. */
size_t crowd_member_wants(const struct crowd_member *member, const struct crowd_member_rules *rules, size_t capacity);

/*
 * Takes `length` bytes with their time of arrival, and returns how many were taken: fewer only if *outcome is not WANTS_MORE. A member
 * that became established by them has `established` set.
 */
size_t crowd_member_take(struct crowd_member *member, const struct crowd_member_rules *rules, uint8_t *bytes, size_t length,
                         const struct arrival *arrival, struct ws_event *event, enum crowd_member_outcome *outcome);

/* Notes that the kernel dropped `length` of the `skip_left` bytes. */
void crowd_member_skipped(struct crowd_member *member, const struct crowd_member_rules *rules, size_t length,
                          const struct arrival *arrival);

/* Forgets the message being received. */
void crowd_member_reset(struct crowd_member *member);

#endif
