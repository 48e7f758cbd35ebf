/*
 * What one thread needs to end another's sleep: a flag that the sleeper sets and the waker takes, and a function that ends the sleep
 * (an eventfd, a ring's message, a futex). A thread that is awake is woken without a system call.
 *
 * The sleeper announces its sleep, then looks once more for work; the waker publishes work, then looks at the flag. At least one of the
 * two sees the other.
 */
#ifndef FLASHRELAY_WAKER_H
#define FLASHRELAY_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

struct waker {
    _Alignas(64) _Atomic bool sleeping; /* set by waker_prepare_sleep, cleared by the thread that wakes or by waker_end_sleep */
    /* Ends the sleep. Called by any thread, once per announced sleep; `from` is the caller's own waker or NULL. */
    void (*wake)(struct waker *waker, struct waker *from);
};

/* Prepares the waker of a thread that is awake, before other threads use it. */
static inline void waker_init(struct waker *waker, void (*wake)(struct waker *waker, struct waker *from))
{
    atomic_init(&waker->sleeping, false);
    waker->wake = wake;
}

/* The sleeper: announces that it is about to sleep. It must look for work after this and before it sleeps. */
void waker_prepare_sleep(struct waker *waker);

/* The sleeper: the sleep is over, or it does not sleep after all. */
static inline void waker_end_sleep(struct waker *waker)
{
    atomic_store_explicit(&waker->sleeping, false, memory_order_relaxed);
}

/* True from the announcement until the sleep's end or a wake-up. Any thread. */
static inline bool waker_is_sleeping(const struct waker *waker)
{
    return atomic_load_explicit(&waker->sleeping, memory_order_relaxed);
}

/* Ends the sleep, if there is one. Any thread, after it published the work; `from` is its own waker or NULL. */
void waker_wake(struct waker *waker, struct waker *from);

#endif
