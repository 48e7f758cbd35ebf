/* A network device with one queue pair per engine, and the ports on them. EAL must be started. */
#ifndef DATAPLANE_ENGINE_DPDK_DEVICE_H
#define DATAPLANE_ENGINE_DPDK_DEVICE_H

#include "engine/dpdk/drivers.h"
#include "engine/dpdk/eal.h"
#include "engine/dpdk/port.h"

#include <rte_ethdev.h>

#include <stdatomic.h>
#include <stdio.h>

struct dpdk_device_options {
    const char *name; /* in DPDK (dpdk_eal_device_name); copied */
    unsigned queues;
    uint16_t mtu;
    bool offload; /* let the card cut segments (TSO), where it can */
};

struct dpdk_device {
    uint16_t id;
    char name[DPDK_NAME_BYTES];
    struct dpdk_device_options options; /* its name is the one above */
    struct rte_eth_dev_info info;
    const struct dpdk_driver *driver;
    uint8_t mac[6];
    int socket;
    uint16_t receive_descriptors, send_descriptors;

    bool is_configured, is_started;
    bool chains, cuts, verifies_checksums, spreads_flows, has_random_key, has_interrupts;
    enum dpdk_reclaim reclaim;
    _Atomic int link; /* as last logged: 1 up, 0 down, -1 unknown */

    struct dpdk_queue *queues;
    struct rte_mempool **receive_pools; /* one per queue */
    struct port **ports;                /* one per queue */
};

/*
 * Opens the device, configures and starts its queues, waits some seconds for its link, and creates the ports. 0, or a negative errno: `error`
 * says why and what would help. dpdk_device_close stops the device and frees everything (NULL is allowed), after the engines' end.
 */
int dpdk_device_open(struct dpdk_device **out, const struct dpdk_device_options *options, char *error, size_t error_capacity);
void dpdk_device_close(struct dpdk_device *device);

/* Stops the device: it reads no memory any more, and its ports may only be destroyed. */
void dpdk_device_stop(struct dpdk_device *device);

/* Bytes of EAL's memory that a device needs at most. */
size_t dpdk_device_memory(const struct dpdk_device_options *options);

/* How many queue pairs the device can have. */
static inline unsigned dpdk_device_queue_pairs(const struct dpdk_device *device)
{
    unsigned queues =
        device->info.max_rx_queues < device->info.max_tx_queues ? device->info.max_rx_queues : device->info.max_tx_queues;
    unsigned most = device->driver->most_queues;

    return most == 0 || queues < most ? queues : most;
}

/* Writes what the device is and what it is used for: one line, or a report of several lines. */
void dpdk_device_describe(const struct dpdk_device *device, char *text, size_t capacity);
void dpdk_device_report(const struct dpdk_device *device, FILE *out);

#endif
