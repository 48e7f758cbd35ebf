/* epoll as a kind of engine to choose. */
#include "engine/epoll/kind.h"
#include "engine/epoll/epoll.h"
#include "engine/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* `shared` of this kind: whether this kernel and its sandbox have epoll_pwait2 (Linux 5.11). */
static const struct epoll_features {
    bool has_epoll_pwait2;
} with_pwait2 = {true}, without_pwait2 = {false};

static int open_kind(void **shared, const struct engine_kind_options *options, char *error, size_t error_capacity)
{
    const struct timespec none = {0};
    struct epoll_event event;
    int descriptor = epoll_create1(EPOLL_CLOEXEC), result = descriptor < 0 ? -errno : 0;

    (void)options;
    if (result != 0) {
        snprintf(error, error_capacity, "no epoll set can be made: %s", strerror(-result));
        return result;
    }
    *shared = (void *)(uintptr_t)(epoll_pwait2(descriptor, &event, 1, &none, NULL) == 0 ? &with_pwait2 : &without_pwait2);
    close(descriptor);
    return 0;
}

static void close_kind(void *shared)
{
    (void)shared;
}

static int create(struct engine **out, const struct engine_options *options, void *shared, unsigned index, char *error,
                  size_t error_capacity)
{
    int result = epoll_engine_create(out, options, ((const struct epoll_features *)shared)->has_epoll_pwait2);

    (void)index;
    if (result != 0)
        snprintf(error, error_capacity, "%s; each engine needs two descriptors (ulimit -n)", strerror(-result));
    return result;
}

static void describe(const void *shared, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s",
             ((const struct epoll_features *)shared)->has_epoll_pwait2 ? "deadlines in nanoseconds"
                                                                       : "deadlines in milliseconds (no epoll_pwait2)");
}

const struct engine_kind engine_kind_epoll = {
    .name = "epoll",
    .open = open_kind,
    .close = close_kind,
    .create = create,
    .check_address_is_free = socket_check_address_is_free,
    .describe = describe,
};
