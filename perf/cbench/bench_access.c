/* Finding the app of an API key: valid and invalid keys by turns, and the longest key that a request can hold. */
#include "cbench/cbench.h"

#include "flashrelay/access.h"
#include "flashrelay/http.h"
#include "flashrelay/random.h"
#include "shard/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 33 /* 128 bits in hex, with terminator */
/* Keys that are looked up, half of them invalid: so many that caches do not hide the cost of a large table. */
#define ASKED 4096

static void write_key(struct random *random, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "%016llx%016llx", (unsigned long long)random_next(random), (unsigned long long)random_next(random));
}

/* A table of `count` apps, whose names are their keys. The keys are written to `keys`. */
static struct access_table *create_table(struct random *random, unsigned count, char (*keys)[KEY_BYTES])
{
    struct access_app *apps = calloc(count, sizeof *apps);
    struct access_table *table = NULL;

    for (unsigned i = 0; i < count; i++) {
        write_key(random, keys[i]);
        apps[i] = (struct access_app){.name = keys[i], .key = keys[i], .connection_limit = UINT32_MAX};
    }
    access_table_create(&table, apps, count, false);
    free(apps);
    return table;
}

CBENCH(access_find_app, 1, 100, 10000)
{
    unsigned count = (unsigned)cbench_argument(bench), next = 0;
    char(*keys)[KEY_BYTES] = calloc(count, sizeof *keys), (*asked)[KEY_BYTES] = calloc(ASKED, sizeof *asked);
    struct random random;
    struct access_table *table;

    random_seed(&random, 1);
    table = create_table(&random, count, keys);
    for (unsigned i = 0; i < ASKED; i++) {
        if (i % 2 == 0)
            memcpy(asked[i], keys[random_below(&random, count)], KEY_BYTES);
        else
            write_key(&random, asked[i]);
    }
    while (cbench_next(bench)) {
        const struct http_text key = {asked[next % ASKED], KEY_BYTES - 1};

        if ((route_find_app(table, key) == -ENOENT) != (next++ % 2 == 1))
            cbench_fail(bench, "a key was taken for another");
    }
    access_table_destroy(table);
    free(keys);
    free(asked);
}

CBENCH(access_refuse_longest_key, 1, 10000)
{
    unsigned count = (unsigned)cbench_argument(bench);
    char(*keys)[KEY_BYTES] = calloc(count, sizeof *keys), *asked = calloc(1, HTTP_MAX_REQUEST_BYTES);
    const struct http_text key = {asked, HTTP_MAX_REQUEST_BYTES};
    struct random random;
    struct access_table *table;

    random_seed(&random, 1);
    table = create_table(&random, count, keys);
    memset(asked, 'a', HTTP_MAX_REQUEST_BYTES);
    while (cbench_next(bench))
        if (route_find_app(table, key) != -ENOENT)
            cbench_fail(bench, "a long key was taken for another");
    access_table_destroy(table);
    free(keys);
    free(asked);
}
