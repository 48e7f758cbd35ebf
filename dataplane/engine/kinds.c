/* The kinds of engines there are, and choosing one. */
#include "engine/dpdk_kind.h"
#include "engine/epoll/kind.h"
#include "engine/uring/kind.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct engine_kind *const engine_kinds[] = {&engine_kind_uring, &engine_kind_epoll, &engine_kind_dpdk, NULL};

const struct engine_kind *engine_kind_find(const char *name)
{
    for (unsigned i = 0; engine_kinds[i]; i++)
        if (strcmp(engine_kinds[i]->name, name) == 0)
            return engine_kinds[i];
    return NULL;
}

static void append_reason(struct engine_choice *choice, const struct engine_kind *kind, const char *why)
{
    size_t length = strlen(choice->reason);

    snprintf(choice->reason + length, sizeof choice->reason - length, "%s%s is not possible (%s)", length > 0 ? "; " : "",
             kind->name, why);
}

static int open_kind(struct engine_choice *choice, const struct engine_kind *kind)
{
    char why[sizeof choice->reason / 2] = "";
    int error = kind->open(&choice->shared, &choice->options, why, sizeof why);

    if (error != 0)
        append_reason(choice, kind, why);
    else
        choice->kind = kind;
    return error;
}

/* Opens the first kind for "auto" that can be, from that list on. Returns `error` if there is none. */
static int open_first(struct engine_choice *choice, const struct engine_kind *const *kinds, int error)
{
    for (; *kinds; kinds++) {
        if ((*kinds)->only_by_name)
            continue;
        error = open_kind(choice, *kinds);
        if (error == 0)
            return 0;
    }
    return error;
}

int engine_choose(struct engine_choice *choice, const char *name, const struct engine_kind_options *options)
{
    const struct engine_kind *kind = engine_kind_find(name);

    *choice = (struct engine_choice){.options = *options, .is_automatic = strcmp(name, "auto") == 0};
    if (choice->is_automatic)
        return open_first(choice, engine_kinds, -ENOENT);
    return kind ? open_kind(choice, kind) : -ENOENT;
}

void engine_choice_close(struct engine_choice *choice)
{
    if (choice->kind)
        choice->kind->close(choice->shared);
    *choice = (struct engine_choice){0};
}

int engine_choice_create(struct engine_choice *choice, struct engine **out, const struct engine_options *options, unsigned index)
{
    char why[sizeof choice->reason / 2] = "";
    int error = choice->kind->create(out, options, choice->shared, index, why, sizeof why);

    if (error != 0)
        append_reason(choice, choice->kind, why);
    return error;
}

static bool is_refusal(int error)
{
    return error == -ENOMEM || error == -EPERM || error == -EACCES || error == -EMFILE || error == -ENFILE || error == -ENOSYS;
}

int engine_choice_next(struct engine_choice *choice, int error)
{
    const struct engine_kind *const *kinds = engine_kinds;

    if (!choice->is_automatic || !is_refusal(error))
        return error;
    while (*kinds && *kinds != choice->kind)
        kinds++;
    assert(*kinds);
    choice->kind->close(choice->shared);
    choice->kind = NULL;
    return open_first(choice, kinds + 1, error);
}

int engine_choice_create_one(struct engine_choice *choice, struct engine **out, const struct engine_options *options)
{
    int error;

    do
        error = engine_choice_create(choice, out, options, 0);
    while (error != 0 && engine_choice_next(choice, error) == 0);
    return error;
}
