/*
 * Connections that have ended, for a minute (TIME-WAIT, RFC 9293 3.6.1): their late FINs are answered, and late duplicates do not open
 * their cookie again. A ring of fixed size; the oldest is overwritten. One thread.
 */
#ifndef DATAPLANE_ENGINE_TCP_CLOSED_TUPLES_H
#define DATAPLANE_ENGINE_TCP_CLOSED_TUPLES_H

#include "flashrelay/address.h"

#define CLOSED_TUPLES 4096

struct closed_tuple {
    struct ip_address remote;
    uint16_t remote_port;
    uint8_t local;
    bool is_live;
    uint32_t receive_next, nxt;
    uint32_t closed_at; /* ticks */
};
_Static_assert(sizeof(struct closed_tuple) == 32, "a closed tuple is to take 32 bytes");

struct closed_tuples {
    struct closed_tuple *ring;
    uint16_t *heads, *next; /* chains by hash: numbers plus 1 */
    uint32_t written;
};

/* 0 or -ENOMEM. */
int closed_tuples_init(struct closed_tuples *closed);
void closed_tuples_dispose(struct closed_tuples *closed);

/* Adds a connection that ends now. */
void closed_tuples_add(struct closed_tuples *closed, const struct closed_tuple *tuple);

/* Finds a connection that ended less than a minute ago; NULL if there is none. Valid until the next call that adds one. */
struct closed_tuple *closed_tuples_find(const struct closed_tuples *closed, const struct ip_address *remote, uint16_t remote_port,
                                        uint8_t local, uint32_t now);

#endif
