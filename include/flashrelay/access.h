/*
 * The access table: which API keys belong to which app. Immutable, and published as a snapshot.
 *
 * An app's number is its index in the table. Requests for admission, limits and counters of connections know the app by it, and they
 * outlive a table: a table that takes another's place keeps every app at its number, leaves the place of an app that is gone empty, and
 * gives the number to another app only once no connection counts under it.
 */
#ifndef FLASHRELAY_ACCESS_H
#define FLASHRELAY_ACCESS_H

#include "flashrelay/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCESS_MAX_APPS (UINT16_MAX - 1)

struct access_app {
    char *name;                /* NULL: no app has this number */
    char *key;                 /* NULL in a table, which keeps only digests of keys */
    uint32_t connection_limit; /* UINT32_MAX: none (keys given as app:key) */
};

struct access_table;

/*
 * Makes a table of copies of `apps`, at most ACCESS_MAX_APPS, whose keys are all different. `public_access`: /ws is open although there
 * are keys. 0 or -ENOMEM.
 */
int access_table_create(struct access_table **out, const struct access_app *apps, unsigned count, bool public_access);

/* A table that was not published. NULL is allowed. */
void access_table_destroy(struct access_table *table);

/* The table to be published: whose slot holds it destroys it. */
struct snapshot *access_table_snapshot(struct access_table *table);

/* The table in `slot`, NULL if it is empty or `slot` is NULL. As snapshot_read. */
const struct access_table *access_table_current(const struct snapshot_slot *slot);

/* How many numbers there are, empty ones among them. 0: there are no keys, /ws is open. Any thread, as all that follow. */
unsigned access_table_count(const struct access_table *table);

bool access_table_has_public_access(const struct access_table *table);

/* The app with this number, or NULL. */
const struct access_app *access_table_app(const struct access_table *table, unsigned number);

/* Bytes of the longest key: nothing longer is one. */
size_t access_table_longest_key(const struct access_table *table);

/*
 * The number of the app whose key is `key`, or -ENOENT. The time it takes depends on the length of `key` alone: what is looked up and
 * compared is a digest under a secret that the table drew, so neither the number of apps nor how much of a key is right shows.
 */
int access_table_find(const struct access_table *table, const char *key, size_t length);

#endif
