#include "access/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

/* A row of a hash table with open addressing and linear probing; 0 connections: free. Used only where there is a limit per address. */
struct row {
    struct ip_address ip;
    uint32_t connections;
};

struct limits {
    struct limits_options options;
    struct row *rows;
    uint64_t mask;
    uint32_t connections, addresses;
    uint32_t app_connections[];
};

static size_t rows_bytes(const struct limits *limits)
{
    return (size_t)(limits->mask + 1) * sizeof(struct row);
}

int limits_create(struct limits **out, const struct limits_options *options)
{
    struct limits *l = calloc(1, sizeof *l + options->apps * sizeof l->app_connections[0]);
    uint64_t rows = 16;

    if (!l)
        return -ENOMEM;
    while (3 * rows < 4 * (uint64_t)options->instance_limit) /* at most three quarters full: probes stay short */
        rows *= 2;
    l->options = *options;
    l->mask = rows - 1;
    l->rows = mmap(NULL, rows_bytes(l), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (l->rows == MAP_FAILED) {
        free(l);
        return -ENOMEM;
    }
    *out = l;
    return 0;
}

void limits_destroy(struct limits *limits)
{
    munmap(limits->rows, rows_bytes(limits));
    free(limits);
}

void limits_lower_instance_limit(struct limits *limits, uint32_t instance_limit)
{
    assert(limits->connections == 0 && instance_limit <= limits->options.instance_limit);
    limits->options.instance_limit = instance_limit;
}

static uint64_t home_of(const struct limits *limits, const struct ip_address *ip)
{
    return XXH3_64bits_withSeed(ip->bytes, sizeof ip->bytes, limits->options.seed) & limits->mask;
}

/* The row of `ip`, or the free one where it belongs. */
static struct row *find_row(const struct limits *limits, const struct ip_address *ip)
{
    uint64_t i = home_of(limits, ip);

    while (limits->rows[i].connections && !ip_address_equal(&limits->rows[i].ip, ip))
        i = (i + 1) & limits->mask;
    return &limits->rows[i];
}

/* Frees a row, and moves rows behind it into the hole where that is nearer to their home position. */
static void free_row(struct limits *limits, struct row *row)
{
    uint64_t hole = (uint64_t)(row - limits->rows);

    for (uint64_t i = (hole + 1) & limits->mask; limits->rows[i].connections; i = (i + 1) & limits->mask) {
        uint64_t from_home = (i - home_of(limits, &limits->rows[i].ip)) & limits->mask;
        uint64_t from_hole = (i - hole) & limits->mask;

        if (from_home < from_hole)
            continue;
        limits->rows[hole] = limits->rows[i];
        hole = i;
    }
    limits->rows[hole].connections = 0;
    limits->addresses--;
}

static void row_enter(struct limits *limits, const struct ip_address *ip)
{
    struct row *row = find_row(limits, ip);

    limits->addresses += row->connections == 0;
    row->ip = *ip;
    row->connections++;
}

static void row_leave(struct limits *limits, const struct ip_address *ip)
{
    struct row *row = find_row(limits, ip);

    assert(row->connections);
    if (--row->connections == 0)
        free_row(limits, row);
}

static uint32_t app_limit(const struct access_table *table, uint16_t app)
{
    const struct access_app *found = access_table_app(table, app);

    return found ? found->connection_limit : 0;
}

enum admission_verdict limits_enter(struct limits *limits, const struct access_table *table, const struct ip_address *ip,
                                    uint16_t app)
{
    const struct limits_options *options = &limits->options;

    assert(app == ADMISSION_NO_APP || app < options->apps);
    if (limits->connections >= options->instance_limit)
        return ADMISSION_REFUSED_INSTANCE;
    if (options->ip_limit && find_row(limits, ip)->connections >= options->ip_limit)
        return ADMISSION_REFUSED_IP;
    if (app != ADMISSION_NO_APP && limits->app_connections[app] >= app_limit(table, app))
        return ADMISSION_REFUSED_APP;
    if (options->ip_limit)
        row_enter(limits, ip);
    limits->connections++;
    if (app != ADMISSION_NO_APP)
        limits->app_connections[app]++;
    return ADMISSION_ADMITTED;
}

void limits_leave(struct limits *limits, const struct ip_address *ip, uint16_t app)
{
    assert(limits->connections);
    limits->connections--;
    if (limits->options.ip_limit)
        row_leave(limits, ip);
    if (app == ADMISSION_NO_APP)
        return;
    assert(limits->app_connections[app]);
    limits->app_connections[app]--;
}

uint32_t limits_connections(const struct limits *limits)
{
    return limits->connections;
}

uint32_t limits_addresses(const struct limits *limits)
{
    return limits->addresses;
}
