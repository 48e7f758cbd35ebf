/* Decides when a subscriber that refuses bytes is too far behind: a function of plain values, without side effects. */
#ifndef DATAPLANE_SHARD_LAG_RULE_H
#define DATAPLANE_SHARD_LAG_RULE_H

#include <stdbool.h>
#include <stdint.h>

struct lag_limit {
    uint64_t frames;   /* how far a subscriber may fall behind; 0: without limit */
    uint64_t grace_ns; /* a subscriber that has refused bytes for less long is not cut off */
};

struct lag_state {
    bool blocked;              /* its socket takes no more now */
    uint64_t blocked_since_ns; /* since when it has refused bytes and not taken everything offered */
    uint64_t frames;           /* how many frames it is behind */
};

enum lag_decision {
    LAG_KEEP,
    LAG_DECIDE_LATER, /* too far behind, but within the grace: ask again when that ends */
    LAG_CUT_OFF,
};

/* `events_until_ns`: the caller knows all events up to this time, which may be before `blocked_since_ns`. */
static inline enum lag_decision lag_decide(const struct lag_limit *limit, const struct lag_state *state, uint64_t events_until_ns)
{
    if (limit->frames == 0 || state->frames <= limit->frames || !state->blocked)
        return LAG_KEEP;
    return events_until_ns < state->blocked_since_ns + limit->grace_ns ? LAG_DECIDE_LATER : LAG_CUT_OFF;
}

#endif
