/* When a subscriber that refuses bytes is too far behind: the decision alone, of plain values. */
#ifndef DATAPLANE_SHARD_LAG_RULE_H
#define DATAPLANE_SHARD_LAG_RULE_H

#include <stdbool.h>
#include <stdint.h>

struct lag_limit {
    uint64_t frames;   /* how far a subscriber may fall behind; 0: without limit */
    uint64_t grace_ns; /* nobody is cut off who has refused bytes for less long */
};

struct lag_state {
    bool blocked;              /* its socket takes no more now */
    uint64_t blocked_since_ns; /* since when it has not had everything */
    uint64_t frames;           /* how many it is behind */
};

enum lag_decision {
    LAG_KEEP,
    LAG_DECIDE_LATER, /* too far behind, but within the grace: ask again when that ends */
    LAG_CUT_OFF,
};

/* What had happened by `told_ns` is known; that may be before the refusing began. */
static inline enum lag_decision lag_decide(const struct lag_limit *limit, const struct lag_state *state, uint64_t told_ns)
{
    if (limit->frames == 0 || state->frames <= limit->frames || !state->blocked)
        return LAG_KEEP;
    return told_ns < state->blocked_since_ns + limit->grace_ns ? LAG_DECIDE_LATER : LAG_CUT_OFF;
}

#endif
