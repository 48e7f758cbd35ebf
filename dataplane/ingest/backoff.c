#include "ingest/backoff.h"

#include "flashrelay/ingest.h"

/* The interval stops growing where its longest wait, which is 1.5 times as long, is the maximum: so waits keep their jitter. */
static uint64_t clamp(const struct backoff *backoff, uint64_t interval_ns)
{
    uint64_t longest = backoff->maximum_ns / 3 * 2;

    return interval_ns < longest ? interval_ns : longest;
}

void backoff_init(struct backoff *backoff, uint64_t maximum_ns)
{
    backoff->maximum_ns = maximum_ns;
    backoff_reset(backoff);
}

uint64_t backoff_next(struct backoff *backoff, struct random *random)
{
    uint64_t interval = backoff->interval_ns;

    backoff->interval_ns = clamp(backoff, interval + interval / 2);
    return interval / 2 + random_below(random, interval + 1);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->interval_ns = clamp(backoff, INGEST_BACKOFF_FIRST_NS);
}
