/*
 * SYN cookies (RFC 4987, 3.6): the initial sequence number of every answer to a SYN carries what the handshake has agreed on, and two keyed
 * hashes (RFC 6528), so that nothing is kept until the ACK brings the number back.
 *
 *     31              20 19              8 7     5 4      2   1     0
 *     [ hash of tuple  ][ with peer's ISN ][ MSS ][ scale ][SACK][key]
 *
 * The second hash also depends on the peer's initial sequence number, which only the first segment after the handshake tells. A later
 * segment that has overtaken that one is known by the first hash alone: it must not be answered with a reset.
 *
 * Keys are drawn anew every 30 s, and the one before stays valid, so a cookie lives for 30 to 60 s.
 */
#ifndef DATAPLANE_ENGINE_TCP_COOKIE_H
#define DATAPLANE_ENGINE_TCP_COOKIE_H

#include "engine/tcp/siphash.h"
#include "flashrelay/address.h"
#include "flashrelay/random.h"

#define COOKIE_KEY_NS      (30 * NS_PER_S)
#define COOKIE_MSS_CLASSES 8
/* A peer's window scale is rounded down to one of these; the first stands for no scaling. */
#define COOKIE_SCALE_CLASSES 8

struct cookie_keys {
    struct siphash_key keys[2];
    unsigned current; /* the one with which cookies are made now */
    bool previous_is_valid;
    uint64_t drawn_ns; /* when the current one was drawn */
};

/* What a handshake has agreed on. */
struct cookie_options {
    uint8_t mss_class; /* below COOKIE_MSS_CLASSES */
    bool has_scale;
    uint8_t scale; /* of the peer's windows; at most 9 */
    bool sack;
};

/* A connection's addresses, and the peer's initial sequence number: the input of the hashes. */
struct cookie_tuple {
    struct ip_address remote, local;
    uint16_t remote_port, local_port;
    uint32_t remote_sequence;
};

/* Draws the first key: from the system if `random` is NULL. Tests give a generator, to be repeatable. */
void cookie_keys_init(struct cookie_keys *keys, struct random *random, uint64_t now_ns);
/* Draws a new key, likewise, if the current one is old. Called before each use. */
void cookie_keys_refresh(struct cookie_keys *keys, struct random *random, uint64_t now_ns);

/* The initial sequence number of the answer to a SYN. Rounds options->scale down to a class. */
uint32_t cookie_make(const struct cookie_keys *keys, const struct cookie_tuple *tuple, const struct cookie_options *options);

enum cookie_verdict {
    COOKIE_VALID,
    COOKIE_TOO_EARLY, /* of this connection, but the segment does not follow the handshake directly: it has overtaken another one */
    COOKIE_FOREIGN,   /* none of ours, or too old */
};

/* Judges the sequence number that came back; if it is valid, *options is what it carries. */
enum cookie_verdict cookie_check(const struct cookie_keys *keys, const struct cookie_tuple *tuple, uint32_t cookie,
                                 struct cookie_options *options);

#endif
