/* The sleep of a port's thread: until the queue's interrupt, a wake-up, or a deadline. */
#ifndef DATAPLANE_ENGINE_DPDK_SLEEPER_H
#define DATAPLANE_ENGINE_DPDK_SLEEPER_H

#include <stdint.h>

struct sleeper {
    int set;   /* of epoll */
    int event; /* an eventfd, for wake-ups */
};

/*
 * Both descriptors are watched for edges, so neither is ever read: each wake-up and each interrupt ends one sleep. `interrupt`: a descriptor
 * that becomes readable when packets arrive, -1 without. 0 or a negative errno.
 */
int sleeper_init(struct sleeper *sleeper, int interrupt);
/*
 * Has the calling thread, which is to sleep, get the signal of an interrupt that sends one, as that of a tap does. Such a driver looks for
 * packets only after its handler has run: by another thread that might be after the sleep has ended, and what has come would wait there.
 */
void sleeper_take_signal(int interrupt);
void sleeper_dispose(struct sleeper *sleeper);

/* Sleeps at most `limit_ns` (CLOCK_NEVER: without limit). */
void sleeper_sleep(struct sleeper *sleeper, uint64_t limit_ns);

/* Ends the sleep, or the next one. Any thread. */
void sleeper_wake(struct sleeper *sleeper);

#endif
