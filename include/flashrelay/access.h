/* The access table: which API keys belong to which app. An immutable snapshot that control publishes and shards read. */
#ifndef FLASHRELAY_ACCESS_H
#define FLASHRELAY_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access_app {
    char *name;
    char *key;
    uint32_t connection_limit; /* UINT32_MAX: none (keys given as app:key) */
};

struct access_table {
    struct access_app *apps;
    uint16_t count;     /* 0: no keys, /ws is open */
    bool public_access; /* /ws is open although there are keys */
};

/* The index of the app whose key is `key`, or -ENOENT. Compares with every key in constant time. Any thread. */
int access_table_find(const struct access_table *table, const char *key, size_t length);

#endif
