/*
 * The access table: which API keys belong to which app. Immutable, and published as a snapshot.
 *
 * An app's number is its index in the table. Admission requests, limits and connection counters identify the app by this number and
 * outlive the table. So a table that replaces another one keeps every app at its number and leaves the entry of a removed app empty. It
 * gives the number to another app only once no connection is counted under it. Limits and counters are created for a fixed count of numbers,
 * and no table that has more can be published.
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
    uint32_t connection_limit; /* UINT32_MAX: no limit (keys given as app:key) */
};

struct access_table;

/*
 * Creates a table from copies of `apps`: at most ACCESS_MAX_APPS, all keys different; an entry without name leaves its number empty.
 * `public_access`: /ws is open although there are keys. The caller owns the table until it publishes it. Any thread. 0, -ENOMEM, or -E2BIG
 * for more than ACCESS_MAX_APPS.
 */
int access_table_create(struct access_table **out, const struct access_app *apps, unsigned count, bool public_access);

/* Destroys a table that was not published. NULL is allowed. */
void access_table_destroy(struct access_table *table);

/*
 * Publishes the table in a slot of `group`, which then owns and destroys it. `numbers`: for how many numbers of apps the readers' limits and
 * counters were created (limits_options.apps, relay_options.apps). 0, or -E2BIG if the table has more: then it stays the caller's, and the slot
 * keeps the table that it has. Threads as for snapshot_publish.
 */
int access_table_publish(struct snapshot_group *group, struct snapshot_slot *slot, struct access_table *table, unsigned numbers);

/* The table in `slot`, or NULL if the slot is empty or `slot` is NULL. Threads and lifetime of the table are as for snapshot_read. */
const struct access_table *access_table_current(const struct snapshot_slot *slot);

/* How many numbers the table has, empty ones included. 0: there are no keys and /ws is open. Any thread, as for all functions below. */
unsigned access_table_count(const struct access_table *table);

/* True if /ws is open although there are keys. */
bool access_table_has_public_access(const struct access_table *table);

/* The app with this number, or NULL. */
const struct access_app *access_table_app(const struct access_table *table, unsigned number);

/* Length of the longest key in bytes: no longer text is a key. */
size_t access_table_longest_key_bytes(const struct access_table *table);

/*
 * The number of the app whose key is `key` (`length` bytes, not terminated), or -ENOENT. The table looks up and compares digests of keys
 * under a secret of its own. So the time taken depends on `length` alone: it shows neither the number of apps nor how much of a key is right.
 */
int access_table_find(const struct access_table *table, const char *key, size_t length);

#endif
