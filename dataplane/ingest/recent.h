/* Remembers which messages were published lately, and which connection brought each, to recognise copies from other connections. */
#ifndef DATAPLANE_INGEST_RECENT_H
#define DATAPLANE_INGEST_RECENT_H

#include <stdbool.h>
#include <stdint.h>

/* xxHash3-128, with the publisher's secret, of a message's JSON; of its bytes as they came where they were not decompressed. */
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

/* Remembers that `connection` brought the identity now, in place of an earlier entry for it. The oldest entry makes room. */
void recent_remember(struct recent *recent, const struct recent_identity *identity, uint32_t connection, uint64_t now_ns);

#endif
