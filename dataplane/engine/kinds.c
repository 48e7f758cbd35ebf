/* The kinds of engines there are, and choosing one. */
#include "engine/epoll/kind.h"
#include "engine/uring/kind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct engine_kind *const engine_kinds[] = {&engine_kind_uring, &engine_kind_epoll, NULL};

static const struct engine_kind *find(const char *name)
{
    for (unsigned i = 0; engine_kinds[i]; i++)
        if (strcmp(engine_kinds[i]->name, name) == 0)
            return engine_kinds[i];
    return NULL;
}

static int open_kind(struct engine_choice *choice, const struct engine_kind *kind, unsigned engines)
{
    char why[sizeof choice->reason / 2] = "";
    size_t length = strlen(choice->reason);
    int error = kind->open(&choice->shared, engines, why, sizeof why);

    if (error != 0)
        snprintf(choice->reason + length, sizeof choice->reason - length, "%s%s is not possible (%s)", length > 0 ? "; " : "",
                 kind->name, why);
    else
        choice->kind = kind;
    return error;
}

int engine_choose(struct engine_choice *choice, const char *name, unsigned engines)
{
    const struct engine_kind *kind = find(name);
    int error = -ENOENT;

    *choice = (struct engine_choice){0};
    if (kind)
        return open_kind(choice, kind, engines);
    for (unsigned i = 0; strcmp(name, "auto") == 0 && engine_kinds[i] && error != 0; i++)
        error = open_kind(choice, engine_kinds[i], engines);
    return error;
}

void engine_choice_close(struct engine_choice *choice)
{
    if (choice->kind)
        choice->kind->close(choice->shared);
    *choice = (struct engine_choice){0};
}

int engine_choice_create(const struct engine_choice *choice, struct engine **out, const struct engine_options *options,
                         unsigned index)
{
    return choice->kind->create(out, options, choice->shared, index);
}
