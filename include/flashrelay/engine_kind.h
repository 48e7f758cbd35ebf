/*
 * The kinds of engines that a relay can run on: a table for each, so that nothing above names one. The simulated engine is no kind: a
 * process does not choose it.
 */
#ifndef FLASHRELAY_ENGINE_KIND_H
#define FLASHRELAY_ENGINE_KIND_H

#include "flashrelay/engine.h"

struct engine_kind {
    const char *name; /* as --engine has it: "uring", "epoll" */

    /*
     * Opens what the engines of all threads share (a network port; nothing for kernel sockets), for `engines` of them, in *shared. 0, or
     * a negative errno and why, and what would help, in `error`. Once per process that uses the kind.
     */
    int (*open)(void **shared, unsigned engines, char *error, size_t error_capacity);
    void (*close)(void *shared);

    /*
     * Makes engine `index` of those it was opened for, for the calling thread to hand to the thread that will run it. 0 or a negative
     * errno, which was logged with what would help.
     */
    int (*create)(struct engine **out, const struct engine_options *options, void *shared, unsigned index);

    /* Proves that nobody listens on `address` yet: a second relay would otherwise share it unnoticed. 0, -EADDRINUSE, or another. */
    int (*prove_free)(void *shared, const struct address *address);

    /* Writes what is in use of what the system offers, for the start-up log. */
    void (*describe)(const void *shared, char *text, size_t capacity);
};

/* All kinds, the best first, then NULL. */
extern const struct engine_kind *const engine_kinds[];

/* A kind that was opened. */
struct engine_choice {
    const struct engine_kind *kind;
    void *shared;
    char reason[512]; /* why none of those before it, empty if it is the first or was asked for */
};

/*
 * Opens the kind called `name`, or with "auto" the first that this system allows. 0; -ENOENT for an unknown name, or the negative errno of
 * the last that was tried, and why in choice->reason. engine_choice_close takes it back, after the engines' end.
 */
int engine_choose(struct engine_choice *choice, const char *name, unsigned engines);
void engine_choice_close(struct engine_choice *choice);

/* Makes engine `index` of the chosen kind, as engine_kind.create says. */
int engine_choice_create(const struct engine_choice *choice, struct engine **out, const struct engine_options *options,
                         unsigned index);

#endif
