/*
 * A script: what goes into the TCP engine and when, and what must come out. The syntax is a subset of packetdrill's, with actions of this
 * engine; tests/tcp/README.md describes it. One thread.
 */
#ifndef TESTS_TCP_SCRIPT_SCRIPT_H
#define TESTS_TCP_SCRIPT_SCRIPT_H

#include "common/wire_packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_PEERS 16

enum script_kind {
    STEP_IN,       /* a TCP segment for the engine */
    STEP_OUT,      /* one that it must send */
    STEP_ICMP_IN,  /* an ICMP message */
    STEP_ICMP_OUT, /* the answer to an echo request */
    STEP_PUBLISH,  /* a frame of `number` bytes is offered to the connection */
    STEP_CONTROL,  /* control bytes are */
    STEP_FINISH,
    STEP_ABORT,
    STEP_CONSUME, /* the handler consumes `number` bytes from now on, then none */
    STEP_RESUME,  /* engine_receive_resume */
    STEP_PAUSE_ACCEPTING,
    STEP_RESUME_ACCEPTING,
    STEP_STOP_LISTENING,
    STEP_PEER, /* what follows is about the connection of another port of the peer */
    STEP_ACCEPTED,
    STEP_RECEIVED,
    STEP_RECEIVED_END,
    STEP_CLOSED, /* the handler must be called so */
    STEP_BLOCKED,
    STEP_NOT_BLOCKED,
    STEP_HOLDS_NOTHING,
    STEP_OPEN,   /* what must be so */
    STEP_NOTHING /* time passes, and nothing happens */
};

/* A segment as it is written in a script: sequence numbers count from the SYN of their sender. */
struct script_segment {
    uint8_t flags;
    uint32_t sequence, payload_bytes, acknowledgement;
    uint16_t window;
    bool has_acknowledgement, has_window, has_options;
    bool any_options;   /* <...> */
    bool is_damaged;    /* its checksum is wrong */
    uint32_t cut_bytes; /* it comes as several segments of so many bytes; 0: as one */
    struct wire_packet_options options;
};

struct script_icmp {
    enum { ICMP_TOO_BIG, ICMP_UNREACHABLE, ICMP_ECHO } kind;
    uint16_t value;    /* MTU, code, or length of the echo's data */
    uint32_t sequence; /* of the segment quoted */
};

struct script_step {
    unsigned line;
    enum script_kind kind;
    bool any_time;                   /* `*` */
    uint64_t earliest_ns, latest_ns; /* after the step before */
    uint64_t number;                 /* of bytes, of a peer; an errno */
    struct script_segment segment;
    struct script_icmp icmp;
};

/* What holds for the whole script. */
struct script_settings {
    bool is_v6;
    uint16_t mtu;
    uint32_t tso_bytes;
    uint32_t max_connections;
    bool has_initial;
    uint32_t initial_sequence; /* of the peer */
};

struct script {
    struct script_settings settings;
    struct script_step *steps;
    size_t count;
};

/* Reads a file. 0; else a negative errno, and what is wrong has been printed with its line. script_dispose frees the steps. */
int script_load(struct script *script, const char *path);
void script_dispose(struct script *script);

struct scan;

/* Reads what follows `<` or `>`. NULL, or what is wrong. */
const char *script_read_segment(struct scan *scan, struct script_segment *segment);

#endif
