#include "descriptors.h"

#include "http/server.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>

/* An upstream's connection, and what a look-up of its name opens: the resolver's files, sockets to name servers and for sorting addresses. */
#define PER_UPSTREAM 6
/* A log file that is opened while the one it replaces is still open, and what libraries open for a moment. */
#define OTHERS              10
#define COUNTED_DESCRIPTORS 1024
/* Most descriptors that are kept for the turnover, per shard. */
#define TURNOVER_PER_SHARD 1024

static unsigned raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return INT_MAX;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max < INT_MAX ? (unsigned)limit.rlim_max : INT_MAX;
}

struct descriptor_plan descriptors_plan(const struct options *options)
{
    struct descriptor_plan plan = {.limit = raise_limit()};

    plan.reserved = options->upstreams.count * PER_UPSTREAM + OTHERS;
    if (options->metrics)
        plan.reserved += HTTP_SERVER_MAX_CONNECTIONS;
    if (plan.reserved > plan.limit / 2)
        plan.reserved = plan.limit / 2; /* with so few, half is left for connections */
    return plan;
}

/* Counts open descriptors below COUNTED_DESCRIPTORS: at the start there are few, and their numbers are low. */
static unsigned count_open(void)
{
    unsigned open = 0;

    for (int descriptor = 0; descriptor < COUNTED_DESCRIPTORS; descriptor++)
        open += fcntl(descriptor, F_GETFD) >= 0;
    return open;
}

static unsigned smaller(uint64_t a, uint64_t b)
{
    return (unsigned)(a < b ? a : b);
}

struct descriptor_share descriptors_share(const struct descriptor_plan *plan, const struct options *options)
{
    unsigned usable = plan->limit - plan->reserved;
    unsigned open = count_open();
    unsigned room = usable > open ? usable - open : 0;
    unsigned turnover = smaller(room / 4, TURNOVER_PER_SHARD * options->shards);

    return (struct descriptor_share){
        .room = room,
        .subscribers = smaller(room - turnover, options->instance_connection_limit),
        .short_below = turnover / 2,
    };
}
