/* The kind "dpdk" of programs that are not linked with DPDK. */
#include "engine/dpdk_kind.h"

#include <errno.h>

static int refuse(char *error, size_t capacity)
{
    snprintf(error, capacity, "this program was built without DPDK: install libdpdk-dev and build it again");
    return -ENOTSUP;
}

static int open_kind(void **shared, const struct engine_kind_options *options, char *error, size_t error_capacity)
{
    (void)shared;
    (void)options;
    return refuse(error, error_capacity);
}

static int check(const struct engine_kind_options *options, FILE *out, char *error, size_t error_capacity)
{
    (void)options;
    (void)out;
    return refuse(error, error_capacity);
}

const struct engine_kind engine_kind_dpdk = {
    .name = "dpdk",
    .only_by_name = true,
    .only_accepts = true,
    .open = open_kind,
    .check = check,
};
