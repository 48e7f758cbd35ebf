/* Ending the engine's sleep: an eventfd, of which every write is an edge. */
#include "engine/base.h"
#include "engine/epoll/epoll.h"

#include <errno.h>
#include <unistd.h>

void epoll_wake(struct waker *waker, struct waker *from)
{
    struct epoll_engine *target = epoll_of(engine_of_waker(waker));
    uint64_t one = 1;
    ssize_t written;

    if (from && from->wake == epoll_wake)
        epoll_count_system_call(epoll_of(engine_of_waker(from)));
    /* Fails only if the count is about to overflow, after 2^64 wake-ups. */
    do
        written = write(target->wake_event, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}
