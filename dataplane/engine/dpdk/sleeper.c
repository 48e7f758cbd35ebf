#include "engine/dpdk/sleeper.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static int watch(const struct sleeper *sleeper, int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    return epoll_ctl(sleeper->set, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

int sleeper_init(struct sleeper *sleeper, int interrupt)
{
    int error = 0;

    sleeper->set = epoll_create1(EPOLL_CLOEXEC);
    sleeper->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sleeper->set < 0 || sleeper->event < 0)
        error = -errno;
    if (error == 0)
        error = watch(sleeper, sleeper->event);
    if (error == 0 && interrupt >= 0)
        error = watch(sleeper, interrupt);
    if (error != 0)
        sleeper_dispose(sleeper);
    return error;
}

void sleeper_take_signal(int interrupt)
{
    const struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = gettid()};
    int number = fcntl(interrupt, F_GETSIG);
    sigset_t signals;

    if (number <= 0 || fcntl(interrupt, F_SETOWN_EX, &owner) != 0)
        return;
    sigemptyset(&signals);
    sigaddset(&signals, number);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    /* The kernel sends SIGIO, which would end the process, in place of a signal for which RLIMIT_SIGPENDING leaves no room: those before it
     * are still to come, and say the same. */
    signal(SIGIO, SIG_IGN);
}

void sleeper_dispose(struct sleeper *sleeper)
{
    if (sleeper->set >= 0)
        close(sleeper->set);
    if (sleeper->event >= 0)
        close(sleeper->event);
    *sleeper = (struct sleeper){.set = -1, .event = -1};
}

void sleeper_sleep(struct sleeper *sleeper, uint64_t limit_ns)
{
    struct timespec limit = {.tv_sec = (time_t)(limit_ns / NS_PER_S), .tv_nsec = (long)(limit_ns % NS_PER_S)};
    struct epoll_event events[2];

    epoll_pwait2(sleeper->set, events, 2, limit_ns == CLOCK_NEVER ? NULL : &limit, NULL);
}

void sleeper_wake(struct sleeper *sleeper)
{
    eventfd_write(sleeper->event, 1);
}
