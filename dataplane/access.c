#include "flashrelay/access.h"

#include <errno.h>
#include <string.h>

/* Not 0 if they differ; takes as long as `key` is, wherever the difference lies (`key` is ours, `given` the peer's). */
static size_t difference(const char *key, const char *given, size_t length)
{
    size_t key_length = strlen(key), differs = key_length ^ length;

    for (size_t i = 0; i < key_length; i++)
        differs |= (size_t)(unsigned char)(key[i] ^ (i < length ? given[i] : '\0'));
    return differs;
}

int access_table_find(const struct access_table *table, const char *key, size_t length)
{
    int found = -ENOENT;

    for (unsigned i = 0; i < table->count; i++)
        found = difference(table->apps[i].key, key, length) == 0 ? (int)i : found;
    return found;
}
