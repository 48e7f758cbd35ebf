/* io_uring as a kind of engine to choose. */
#include "engine/uring/kind.h"
#include "engine/socket.h"
#include "engine/uring/uring.h"

#include <stdio.h>
#include <string.h>

/* Finds out whether rings can be had; they share nothing. */
static int open_kind(void **shared, const struct engine_kind_options *options, char *error, size_t error_capacity)
{
    struct uring_features features;
    unsigned setup_flags;
    int result = uring_probe(&features, &setup_flags);

    (void)options;
    *shared = NULL;
    if (result != 0)
        uring_explain_refusal(result, error, error_capacity);
    return result;
}

static void close_kind(void *shared)
{
    (void)shared;
}

static int create(struct engine **out, const struct engine_options *options, void *shared, unsigned index, char *error,
                  size_t error_capacity)
{
    int result = engine_uring_create(out, options);

    (void)shared;
    (void)index;
    if (result != 0)
        uring_explain_refusal(result, error, error_capacity);
    return result;
}

static void append(char *text, size_t capacity, bool condition, const char *word)
{
    size_t length = strlen(text);

    if (condition)
        snprintf(text + length, capacity - length, "%s%s", length ? ", " : "", word);
}

static void describe(const void *shared, char *text, size_t capacity)
{
    struct uring_features features;
    unsigned setup_flags;

    (void)shared;
    uring_probe(&features, &setup_flags);
    text[0] = '\0';
    append(text, capacity, features.defer_taskrun, "deferred completions");
    append(text, capacity, features.buffer_ring, "buffer rings");
    append(text, capacity, features.multishot_receive, "multishot receive");
    append(text, capacity, features.message_ring, "ring messages");
    append(text, capacity, features.zerocopy_send, "zero-copy send");
    append(text, capacity, text[0] == '\0', "no optional features");
}

const struct engine_kind engine_kind_uring = {
    .name = "uring",
    .open = open_kind,
    .close = close_kind,
    .create = create,
    .check_address_is_free = socket_check_address_is_free,
    .describe = describe,
};
