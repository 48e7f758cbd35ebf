#include "engine/dpdk/device.h"

#include "engine/dpdk/configure.h"
#include "engine/dpdk/explain.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long opening waits for the link, and how often it looks. */
#define LINK_WAIT_NS (5 * NS_PER_S)
#define LINK_POLL_NS (20 * NS_PER_MS)

/* --- link --- */

static void log_link(struct dpdk_device *device, const struct rte_eth_link *link)
{
    int was = atomic_exchange(&device->link, link->link_status);

    if (was == link->link_status)
        return;
    if (link->link_status == RTE_ETH_LINK_DOWN)
        log_line(LOG_WARN, "dpdk", "%s: the link is down", device->name);
    else
        log_line(LOG_INFO, "dpdk", "%s: the link is up, %u Mbit/s", device->name, link->link_speed);
}

/* Called by EAL's interrupt thread. */
static int on_link_changed(uint16_t id, enum rte_eth_event_type event, void *context, void *unused)
{
    struct rte_eth_link link;

    (void)event;
    (void)unused;
    if (rte_eth_link_get_nowait(id, &link) == 0)
        log_link(context, &link);
    return 0;
}

static void wait_for_link(struct dpdk_device *device)
{
    const struct timespec pause = {.tv_nsec = LINK_POLL_NS};
    uint64_t deadline_ns = clock_monotonic_ns() + LINK_WAIT_NS;
    struct rte_eth_link link = {0};

    while (rte_eth_link_get_nowait(device->id, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN &&
           clock_monotonic_ns() < deadline_ns)
        nanosleep(&pause, NULL);
    log_link(device, &link);
}

/* --- life --- */

static int create_ports(struct dpdk_device *device)
{
    struct dpdk_port_options options = {
        .limits = {.mtu = device->options.mtu, .tso_bytes = device->cuts ? PORT_TSO_BYTES : 0},
        .socket = device->socket,
        .packets = device->send_descriptors,
        .chains = device->chains,
        .device = device,
        .needs_iova = !device->driver->reads_by_cpu,
        .frees_in_order = device->driver->frees_in_order && !device->cuts,
        .has_interrupts = device->has_interrupts,
        .reclaim = device->reclaim,
    };
    int error = 0;

    memcpy(options.limits.mac, device->mac, sizeof device->mac);
    for (unsigned i = 0; i < device->options.queues && error == 0; i++) {
        options.burst = dpdk_burst_of(&device->queues[i], device->cuts);
        options.queue = &device->queues[i];
        error = dpdk_port_create(&device->ports[i], &options);
    }
    return error;
}

static int find(struct dpdk_device *device, char *error, size_t capacity)
{
    struct rte_ether_addr mac;
    int result = rte_eth_dev_get_port_by_name(device->name, &device->id);

    if (result == 0)
        result = rte_eth_dev_info_get(device->id, &device->info);
    if (result == 0)
        result = rte_eth_macaddr_get(device->id, &mac);
    if (result != 0) {
        const char *why = dpdk_eal_take_error();

        return explain(error, capacity, -ENODEV, "no driver of DPDK took the port %s (%s): see dpdk-devbind.py --status-dev net",
                       device->name, *why ? why : "none knows it");
    }
    memcpy(device->mac, mac.addr_bytes, sizeof device->mac);
    device->driver = dpdk_driver_find(device->info.driver_name);
    device->socket = rte_eth_dev_socket_id(device->id);
    return 0;
}

static int allocate(struct dpdk_device *device)
{
    unsigned queues = device->options.queues;

    device->queues = calloc(queues, sizeof *device->queues);
    device->receive_pools = calloc(queues, sizeof(struct rte_mempool *));
    device->ports = calloc(queues, sizeof(struct port *));
    return device->queues && device->receive_pools && device->ports ? 0 : -ENOMEM;
}

static int open_device(struct dpdk_device *device, char *error, size_t capacity)
{
    int result = allocate(device);

    if (result != 0)
        return explain(error, capacity, result, "%s", strerror(-result));
    result = find(device, error, capacity);
    if (result == 0)
        result = dpdk_configure(device, error, capacity);
    if (result != 0)
        return result;
    for (unsigned i = 0; i < device->options.queues; i++)
        device->queues[i] = (struct dpdk_queue){.device = device->id, .queue = (uint16_t)i};
    result = create_ports(device);
    if (result != 0)
        return explain(error, capacity, result, "no memory for the buffers of %s: %s", device->name, strerror(-result));
    rte_eth_dev_callback_register(device->id, RTE_ETH_EVENT_INTR_LSC, on_link_changed, device);
    wait_for_link(device);
    return 0;
}

int dpdk_device_open(struct dpdk_device **out, const struct dpdk_device_options *options, char *error, size_t error_capacity)
{
    struct dpdk_device *device = calloc(1, sizeof *device);
    int result;

    if (!device)
        return explain(error, error_capacity, -ENOMEM, "%s", strerror(ENOMEM));
    device->options = *options;
    snprintf(device->name, sizeof device->name, "%s", options->name);
    device->options.name = device->name;
    atomic_init(&device->link, -1);
    result = open_device(device, error, error_capacity);
    if (result != 0) {
        dpdk_device_close(device);
        return result;
    }
    *out = device;
    return 0;
}

void dpdk_device_stop(struct dpdk_device *device)
{
    if (device->is_started)
        rte_eth_dev_stop(device->id);
    device->is_started = false;
}

/* The device lets go of all it held before the pools are freed. */
void dpdk_device_close(struct dpdk_device *device)
{
    if (!device)
        return;
    rte_eth_dev_callback_unregister(device->id, RTE_ETH_EVENT_INTR_LSC, on_link_changed, device);
    dpdk_device_stop(device);
    if (device->is_configured)
        rte_eth_dev_close(device->id);
    for (unsigned i = 0; i < device->options.queues && device->ports; i++)
        dpdk_port_destroy(device->ports[i]);
    for (unsigned i = 0; i < device->options.queues && device->receive_pools; i++)
        rte_mempool_free(device->receive_pools[i]);
    free(device->ports);
    free(device->receive_pools);
    free(device->queues);
    free(device);
}
