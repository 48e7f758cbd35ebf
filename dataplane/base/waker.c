#include "flashrelay/waker.h"

/* The fences keep each side's two steps in their order: announce, then look for work; publish work, then look for the announcement. */
void waker_prepare_sleep(struct waker *waker)
{
    atomic_store_explicit(&waker->sleeping, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void waker_wake(struct waker *waker, struct waker *from)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (waker_is_sleeping(waker) && atomic_exchange_explicit(&waker->sleeping, false, memory_order_acq_rel))
        waker->wake(waker, from);
}
