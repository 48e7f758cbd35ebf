#include "access/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One item of the list, split: app, key and, if given, limit. */
struct item {
    const char *parts[3];
    size_t lengths[3];
    unsigned count; /* of all parts, also those beyond the third */
};

void keys_dispose(struct api_keys *keys)
{
    for (unsigned i = 0; i < keys->count; i++) {
        free(keys->apps[i].name);
        free(keys->apps[i].key);
    }
    free(keys->apps);
    *keys = (struct api_keys){0};
}

static void item_split(struct item *item, const char *text, size_t length)
{
    const char *end = text + length;

    *item = (struct item){0};
    for (;;) {
        const char *colon = memchr(text, ':', (size_t)(end - text));
        if (item->count < 3) {
            item->parts[item->count] = text;
            item->lengths[item->count] = (size_t)((colon ? colon : end) - text);
        }
        item->count++;
        if (!colon)
            return;
        text = colon + 1;
    }
}

/* Reads digits; a number above UINT32_MAX becomes UINT32_MAX, which means no limit. */
static int parse_limit(const char *text, size_t length, uint32_t *limit)
{
    uint64_t value = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > UINT32_MAX)
            value = UINT32_MAX;
    }
    *limit = (uint32_t)value;
    return 0;
}

static bool is_text(const char *known, const char *text, size_t length)
{
    return strlen(known) == length && memcmp(known, text, length) == 0;
}

/* Returns what is wrong with an item that names an app, or NULL if nothing is; `*limit` is then the app's limit. */
static const char *item_check(const struct item *item, const struct api_keys *keys, uint32_t *limit)
{
    *limit = UINT32_MAX;
    if (item->count < 2 || item->lengths[1] == 0)
        return "has no key";
    if (item->count > 3)
        return "has a part too many";
    if (item->count == 3 && item->lengths[2] == 0)
        return "has an empty connection limit";
    if (item->count == 3 && parse_limit(item->parts[2], item->lengths[2], limit) < 0)
        return "has a connection limit that is not a number";
    for (unsigned i = 0; i < keys->count; i++) {
        if (is_text(keys->apps[i].name, item->parts[0], item->lengths[0]))
            return "is named twice";
        if (is_text(keys->apps[i].key, item->parts[1], item->lengths[1]))
            return "has the key of another app";
    }
    return NULL;
}

static int append(struct api_keys *keys, const struct item *item, uint32_t limit)
{
    struct access_app *apps = realloc(keys->apps, (keys->count + 1) * sizeof *apps), *app;

    if (!apps)
        return -ENOMEM;
    keys->apps = apps;
    app = &apps[keys->count];
    app->name = strndup(item->parts[0], item->lengths[0]);
    app->key = strndup(item->parts[1], item->lengths[1]);
    app->connection_limit = limit;
    keys->count++;
    return app->name && app->key ? 0 : -ENOMEM;
}

static int add_item(struct api_keys *keys, const char *text, size_t length, char *error, size_t error_capacity)
{
    const char *wrong;
    struct item item;
    uint32_t limit;

    item_split(&item, text, length);
    if (item.lengths[0] == 0) {
        snprintf(error, error_capacity, "the item after %u apps names none; expected app:key or app:key:limit", keys->count);
        return -EINVAL;
    }
    wrong = item_check(&item, keys, &limit);
    if (wrong) {
        snprintf(error, error_capacity, "app %.*s %s; expected app:key or app:key:limit, no app and no key twice",
                 (int)item.lengths[0], item.parts[0], wrong);
        return -EINVAL;
    }
    if (keys->count == ACCESS_MAX_APPS) {
        snprintf(error, error_capacity, "app %.*s is one too many; expected at most %u", (int)item.lengths[0], item.parts[0],
                 ACCESS_MAX_APPS);
        return -EINVAL;
    }
    return append(keys, &item, limit);
}

int keys_parse(struct api_keys *keys, const char *list, char *error, size_t error_capacity)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        int result = length ? add_item(keys, list, length, error, error_capacity) : 0;

        if (result < 0)
            return result;
        list += length;
        list += *list == ',';
    }
    return 0;
}
