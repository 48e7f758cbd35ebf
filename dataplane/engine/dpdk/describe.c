/* What a device is, and what it is used for, as text. */
#include "engine/dpdk/device.h"

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_version.h>

void dpdk_device_describe(const struct dpdk_device *device, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s (%s), %u queues, %s%s%s", device->name, device->info.driver_name, device->options.queues,
             device->chains ? "payloads by reference" : "payloads copied", device->cuts ? ", TSO" : "",
             device->has_interrupts ? ", interrupts" : ", naps of 50 us");
}

static const char *yes_or(bool yes, const char *otherwise)
{
    return yes ? "yes" : otherwise;
}

static const char *why_not_cut(const struct dpdk_device *device)
{
    if (!(device->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO))
        return "no: the device can't";
    if (device->driver->cuts_in_software)
        return "no: the driver would cut on the CPU";
    return device->options.offload ? "no: the device can't with chains and checksums" : "no: --dpdk-offload off";
}

static const char *queue_choice(const struct dpdk_device *device)
{
    if (device->options.queues == 1)
        return "not needed: one queue";
    if (!device->spreads_flows)
        return "by the driver";
    return device->has_random_key ? "RSS with a random key" : "RSS with the driver's key";
}

static const char *reclaim_text(enum dpdk_reclaim reclaim)
{
    static const char *const texts[] = {
        [DPDK_RECLAIM_NEVER] = "at once",
        [DPDK_RECLAIM_CLEANUP] = "on request (tx_done_cleanup)",
        [DPDK_RECLAIM_STATUS] = "on request (tx_descriptor_status)",
        [DPDK_RECLAIM_FRAME] = "when it sends again: an idle port sends itself a frame",
    };

    return texts[reclaim];
}

void dpdk_device_report(const struct dpdk_device *device, FILE *out)
{
    const struct rte_eth_dev_info *info = &device->info;
    const uint8_t *mac = device->mac;
    struct rte_malloc_socket_stats heap = {0};
    struct rte_eth_link link = {0};

    rte_malloc_get_socket_stats(device->socket < 0 ? 0 : device->socket, &heap);
    rte_eth_link_get_nowait(device->id, &link);
    fprintf(out, "port              %s, MAC address %02x:%02x:%02x:%02x:%02x:%02x\n", device->name, mac[0], mac[1], mac[2],
            mac[3], mac[4], mac[5]);
    fprintf(out, "driver            %s, %s\n", info->driver_name, rte_version());
    fprintf(out, "link              %s, %u Mbit/s\n", link.link_status ? "up" : "down", link.link_speed);
    fprintf(out, "queue pairs       %u used, %u there\n", device->options.queues, dpdk_device_queue_pairs(device));
    fprintf(out, "spread            %s\n", queue_choice(device));
    fprintf(out, "descriptors       %u for receiving, %u for sending\n", device->receive_descriptors, device->send_descriptors);
    fprintf(out, "MTU               %u\n", device->options.mtu);
    fprintf(out, "chains            %s\n", yes_or(device->chains, "no: payloads are copied behind their headers"));
    fprintf(out, "TSO               %s\n", yes_or(device->cuts, why_not_cut(device)));
    fprintf(out, "receive checksums %s\n", device->verifies_checksums ? "verified by the device" : "verified in software");
    fprintf(out, "interrupts        %s\n", yes_or(device->has_interrupts, "no: an idle thread naps 50 us at a time"));
    fprintf(out, "frees             %s%s\n", reclaim_text(device->reclaim), device->driver->frees_in_order ? ", in order" : "");
    fprintf(out, "memory            %zu MiB of EAL, %zu MiB of them free, NUMA node %d, %s\n", heap.heap_totalsz_bytes >> 20,
            heap.heap_freesz_bytes >> 20, device->socket, rte_eal_has_hugepages() ? "huge pages" : "plain pages");
    fprintf(out, "IOVA              %s\n", rte_eal_iova_mode() == RTE_IOVA_PA ? "physical addresses" : "virtual addresses");
}
