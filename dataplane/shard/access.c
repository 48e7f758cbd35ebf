#include "flashrelay/access.h"

#include <errno.h>
#include <string.h>

/* Takes as long for a wrong key as for a right one: what is compared depends on the given key's length alone. */
static uint32_t key_difference(const char *key, size_t length, const char *stored)
{
    size_t stored_bytes = strlen(stored) + 1;
    uint32_t difference = length + 1 != stored_bytes;

    for (size_t i = 0; i < length; i++)
        difference |= (uint32_t)((unsigned char)key[i] ^ (unsigned char)stored[i % stored_bytes]);
    return difference;
}

int access_table_find(const struct access_table *table, const char *key, size_t length)
{
    uint32_t found = 0; /* index + 1 */

    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t match = (uint32_t)(key_difference(key, length, table->apps[i].key) == 0);

        found |= (0 - match) & (i + 1);
    }
    return found == 0 ? -ENOENT : (int)(found - 1);
}
