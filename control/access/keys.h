/* API keys as the command line names them. */
#ifndef CONTROL_ACCESS_KEYS_H
#define CONTROL_ACCESS_KEYS_H

#include "flashrelay/access.h"

#include <stddef.h>

struct api_keys {
    struct access_app *apps;
    unsigned count;
};

/*
 * Adds the comma-separated keys of `list`, each `app:key` or `app:key:limit`, to keys that begin zeroed. Empty items are skipped,
 * nothing is trimmed. 0, -EINVAL with a text in `error` that names the app and never the key, or -ENOMEM.
 */
int keys_parse(struct api_keys *keys, const char *list, char *error, size_t error_capacity);

/* Frees what keys_parse allocated; the keys are zeroed again. */
void keys_dispose(struct api_keys *keys);

#endif
