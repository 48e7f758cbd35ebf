/* API keys from the command line, as access tables. */
#ifndef CONTROL_ACCESS_KEYS_H
#define CONTROL_ACCESS_KEYS_H

#include "flashrelay/access.h"

#include <stddef.h>

/*
 * Adds the comma-separated keys of `list`, each `app:key` or `app:key:limit`, to a table that begins zeroed. Empty items are
 * skipped, nothing is trimmed. 0, -EINVAL with a text in `error` that names the app and never the key, or -ENOMEM.
 */
int access_table_add(struct access_table *table, const char *list, char *error, size_t error_capacity);

/* Frees what access_table_add allocated; the table is zeroed again. */
void access_table_dispose(struct access_table *table);

#endif
