/* DPDK as a kind of engine to choose: one device, a queue pair per engine, and what the engines share. */
#include "engine/dpdk_kind.h"

#include "engine/dpdk/device.h"
#include "engine/dpdk/eal.h"
#include "engine/dpdk/explain.h"
#include "engine/dpdk/memory.h"
#include "engine/dpdk/system.h"
#include "engine/tcp/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What EAL and drivers need of its memory beside buffers and logs. */
#define OTHER_MEMORY ((size_t)32 << 20)

/* `shared` of this kind. */
struct dpdk_kind {
    struct dpdk_device *device;
    struct host *host;
    struct channel_memory_source source;
};

/* --- life --- */

static struct host_options host_options_of(const struct engine_dpdk_options *dpdk)
{
    struct host_options options = {
        .address_count = dpdk->address_count, .gateway_count = dpdk->gateway_count, .mtu = dpdk->mtu, .vlan = dpdk->vlan};

    for (unsigned i = 0; i < dpdk->address_count; i++)
        options.addresses[i] = (struct host_address){.ip = dpdk->addresses[i].ip, .prefix_bits = dpdk->addresses[i].prefix_bits};
    memcpy(options.gateways, dpdk->gateways, sizeof options.gateways);
    return options;
}

static int open_host(struct dpdk_kind *kind, const struct engine_kind_options *options, char *error, size_t capacity)
{
    const struct host_options host_options = host_options_of(options->dpdk);
    struct port *port = kind->device->ports[0];
    int result = host_create(&kind->host, &host_options, &port->limits, options->engines);

    if (result != 0)
        return explain(error, capacity, result, "%s", strerror(-result));
    return host_probe(kind->host, port, error, capacity);
}

static int open_port(struct dpdk_kind *kind, const struct engine_kind_options *options, char *error, size_t capacity)
{
    const struct engine_dpdk_options *dpdk = options->dpdk;
    char name[DPDK_NAME_BYTES];
    struct dpdk_device_options device = {.name = name, .queues = options->engines, .mtu = dpdk->mtu, .offload = dpdk->offload};
    int result;

    dpdk_eal_device_name(dpdk->port, name);
    result = dpdk_device_open(&kind->device, &device, error, capacity);
    return result == 0 ? open_host(kind, options, error, capacity) : result;
}

static void close_kind(void *shared)
{
    struct dpdk_kind *kind = shared;

    host_destroy(kind->host);
    dpdk_device_close(kind->device);
    dpdk_eal_stop();
    free(kind);
}

/* Starts EAL for what the port and the channels will need. */
static int start_eal(const struct engine_kind_options *options, char *error, size_t capacity)
{
    const struct engine_dpdk_options *dpdk = options->dpdk;
    const struct dpdk_device_options device = {.queues = options->engines, .mtu = dpdk->mtu};
    const struct dpdk_eal_options eal = {
        .port = dpdk->port,
        .arguments = dpdk->eal,
        .memory_bytes = options->channel_bytes + dpdk_device_memory(&device) + OTHER_MEMORY,
    };
    int result = system_check_port(dpdk->port, "", error, capacity);

    return result == 0 ? dpdk_eal_start(&eal, error, capacity) : result;
}

static int open_kind(void **shared, const struct engine_kind_options *options, char *error, size_t error_capacity)
{
    struct dpdk_kind *kind;
    int result;

    if (!options->dpdk || !options->dpdk->port)
        return explain(error, error_capacity, -EINVAL, "no port is given");
    result = start_eal(options, error, error_capacity);
    if (result != 0)
        return result;
    kind = calloc(1, sizeof *kind);
    if (!kind) {
        dpdk_eal_stop();
        return explain(error, error_capacity, -ENOMEM, "%s", strerror(ENOMEM));
    }
    result = open_port(kind, options, error, error_capacity);
    if (result != 0) {
        close_kind(kind);
        return result;
    }
    kind->source = dpdk_memory_source(kind->device->socket);
    *shared = kind;
    return 0;
}

static int create(struct engine **out, const struct engine_options *options, void *shared, unsigned index, char *error,
                  size_t error_capacity)
{
    struct dpdk_kind *kind = shared;
    const struct tcp_options tcp = {.port = kind->device->ports[index], .host = kind->host, .index = index};
    int result = tcp_engine_create(out, options, &tcp);

    return result == 0 ? 0 : explain(error, error_capacity, result, "%s", strerror(-result));
}

/* --- what the relay asks --- */

static const struct channel_memory_source *memory(void *shared)
{
    return &((struct dpdk_kind *)shared)->source;
}

/* `open` has proved that nobody else has the port's addresses, and no other process has the port. */
static int check_address_is_free(void *shared, const struct address *address)
{
    (void)shared;
    (void)address;
    return 0;
}

static void describe(const void *shared, char *text, size_t capacity)
{
    dpdk_device_describe(((const struct dpdk_kind *)shared)->device, text, capacity);
}

static int check(const struct engine_kind_options *options, FILE *out, char *error, size_t error_capacity)
{
    void *shared = NULL;
    int result = open_kind(&shared, options, error, error_capacity);

    if (!shared)
        return result;
    dpdk_device_report(((const struct dpdk_kind *)shared)->device, out);
    close_kind(shared);
    return 0;
}

const struct engine_kind engine_kind_dpdk = {
    .name = "dpdk",
    .only_by_name = true,
    .only_accepts = true,
    .open = open_kind,
    .close = close_kind,
    .memory = memory,
    .check = check,
    .create = create,
    .check_address_is_free = check_address_is_free,
    .describe = describe,
};
