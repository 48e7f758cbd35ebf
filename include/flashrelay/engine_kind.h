/*
 * The kinds of engines that a relay can run on. Each kind is a table of functions, so that the code above names none of them. The simulated
 * engine is not among them: no process chooses it.
 */
#ifndef FLASHRELAY_ENGINE_KIND_H
#define FLASHRELAY_ENGINE_KIND_H

#include "flashrelay/engine.h"
#include "flashrelay/engine_dpdk.h"

#include <stdio.h>

struct engine_kind_options {
    unsigned engines;                       /* how many will be created at most */
    size_t channel_bytes;                   /* memory that channels will take from the kind's source, if it has one */
    const struct engine_dpdk_options *dpdk; /* for the kind "dpdk"; NULL where that is not chosen */
};

struct engine_kind {
    const char *name;  /* as in --engine: "uring", "epoll", "dpdk" */
    bool only_by_name; /* "auto" does not choose it */
    bool only_accepts; /* its engines can't connect: engine_connect returns NULL */

    /*
     * Opens what the engines of all threads share (a network port; nothing for kernel sockets); `close` takes *shared back. 0, or a negative
     * errno: `error` says why and what would help. Called once per process that uses the kind.
     */
    int (*open)(void **shared, const struct engine_kind_options *options, char *error, size_t error_capacity);
    void (*close)(void *shared);

    /* Where the memory of channels comes from, until `close`. NULL: the kind reads any memory. */
    const struct channel_memory_source *(*memory)(void *shared);

    /*
     * Writes to `out` what the port can do and what it would be used for, and closes it again. 0, or a negative errno as from `open`. NULL
     * where there is nothing to check.
     */
    int (*check)(const struct engine_kind_options *options, FILE *out, char *error, size_t error_capacity);

    /*
     * Creates engine `index`, below the number in the options of `open`. The calling thread hands it to the thread that will run it. 0, or a negative
     * errno: `error` says why and what would help.
     */
    int (*create)(struct engine **out, const struct engine_options *options, void *shared, unsigned index, char *error,
                  size_t error_capacity);

    /* Checks that no process listens on `address` yet, since SO_REUSEPORT would share it unnoticed. 0, -EADDRINUSE or another negative errno. */
    int (*check_address_is_free)(void *shared, const struct address *address);

    /* Writes which features of the system the kind uses, for the start-up log. */
    void (*describe)(const void *shared, char *text, size_t capacity);
};

/* All kinds, the best first; ends with NULL. */
extern const struct engine_kind *const engine_kinds[];

/* The kind called `name`, or NULL. */
const struct engine_kind *engine_kind_find(const char *name);

/* The kind that engine_choose opened. */
struct engine_choice {
    const struct engine_kind *kind;
    void *shared;
    struct engine_kind_options options; /* with which it is opened */
    bool is_automatic;                  /* the name was "auto" */
    char reason[512];                   /* why the kinds that were tried before it can't be used; empty if there were none */
};

/*
 * Opens the kind called `name`, or with "auto" the first kind that this system allows. 0; -ENOENT for an unknown name; or the negative errno
 * of the last kind tried, with the reasons of all in choice->reason. The caller calls engine_choice_close after the engines' end.
 */
int engine_choose(struct engine_choice *choice, const char *name, const struct engine_kind_options *options);
void engine_choice_close(struct engine_choice *choice);

/* Creates engine `index` of the chosen kind, as engine_kind.create says. On failure the reason is appended to choice->reason. */
int engine_choice_create(struct engine_choice *choice, struct engine **out, const struct engine_options *options, unsigned index);

/*
 * Goes on to the next kind after engine_choice_create returned `error`, if the name was "auto" and the error is a refusal by the system
 * (-ENOMEM, -EPERM, -EACCES, -EMFILE, -ENFILE, -ENOSYS). The caller has destroyed all engines of the kind at hand. 0: the caller creates its
 * engines anew; else `error`, or the negative errno of the last kind tried.
 */
int engine_choice_next(struct engine_choice *choice, int error);

/* For those that need a single engine: creates engine 0 of the chosen kind, or, after a refusal, of the first next kind that can. */
int engine_choice_create_one(struct engine_choice *choice, struct engine **out, const struct engine_options *options);

#endif
