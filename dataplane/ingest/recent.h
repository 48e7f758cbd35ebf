/* What was published lately, and by which connection: the memory by which copies from other connections are known. */
#ifndef DATAPLANE_INGEST_RECENT_H
#define DATAPLANE_INGEST_RECENT_H

#include <stdbool.h>
#include <stdint.h>

/* xxHash3-128 of a message's JSON, with the publisher's secret. */
struct recent_identity {
    uint64_t low, high;
};

struct recent;

/* Remembers at most `capacity` identities (up to 32,768), each for `window_ns`. 0 or -ENOMEM. */
int recent_create(struct recent **out, uint32_t capacity, uint64_t window_ns);
void recent_destroy(struct recent *recent);

/* True if another connection than `connection` brought the identity within the window; *behind_ns becomes how long ago. */
bool recent_is_copy(const struct recent *recent, const struct recent_identity *identity, uint32_t connection, uint64_t now_ns,
                    uint64_t *behind_ns);

/* Remembers that `connection` brought the identity now, in place of an earlier memory of it. The oldest makes room. */
void recent_remember(struct recent *recent, const struct recent_identity *identity, uint32_t connection, uint64_t now_ns);

#endif
