#include "metrics/rolling.h"

void rolling_init(struct rolling *rolling, uint64_t now_ns)
{
    *rolling = (struct rolling){.next_ns = now_ns + ROLLING_WINDOW_NS};
    pthread_mutex_init(&rolling->lock, NULL);
}

void rolling_dispose(struct rolling *rolling)
{
    pthread_mutex_destroy(&rolling->lock);
}

static void begin_window(struct rolling *rolling, const struct histogram *counted)
{
    for (unsigned i = ROLLING_WINDOWS - 1; i > 0; i--)
        rolling->begins[i] = rolling->begins[i - 1];
    rolling->begins[0] = (struct histogram){0};
    histogram_merge(&rolling->begins[0], counted);
}

uint64_t rolling_turn(struct rolling *rolling, const struct histogram *counted, uint64_t now_ns)
{
    uint64_t next_ns;

    pthread_mutex_lock(&rolling->lock);
    for (; rolling->next_ns <= now_ns; rolling->next_ns += ROLLING_WINDOW_NS)
        begin_window(rolling, counted);
    next_ns = rolling->next_ns;
    pthread_mutex_unlock(&rolling->lock);
    return next_ns;
}

void rolling_recent(struct rolling *rolling, const struct histogram *counted, struct histogram *recent)
{
    pthread_mutex_lock(&rolling->lock);
    histogram_difference(recent, counted, &rolling->begins[ROLLING_WINDOWS - 1]);
    pthread_mutex_unlock(&rolling->lock);
}
