#include "engine/dpdk/configure.h"

#include "engine/dpdk/eal_log.h"
#include "engine/dpdk/explain.h"

#include <rte_errno.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Descriptors per queue, where the device can have so many. */
#define RECEIVE_DESCRIPTORS 1024
#define SEND_DESCRIPTORS    4096
/* Received packets that are neither in the ring nor sent back: in bursts, and in caches of the pool. */
#define RECEIVE_SPARE 2048
#define RECEIVE_CACHE 256
/* Longest Ethernet header, with a VLAN tag, and the checksum, which some cards store. */
#define FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN)
/* Buffers for received packets are multiples of this; some cards take no others. */
#define RECEIVE_BUFFER_UNIT 1024
/* Longest key of RSS that a driver may want. */
#define KEY_BYTES 64

#define TCP_HASHES (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define IP_HASHES  (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6)
#define CHECKSUMS  (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define CUTTING    (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)

/* What may have to be given up so that a device starts. */
struct attempt {
    bool random_key, interrupts;
};

static const struct attempt attempts[] = {{true, true}, {false, true}, {true, false}, {false, false}};

/* --- buffers --- */

static uint16_t receive_buffer_bytes(uint16_t mtu)
{
    uint32_t frame = RTE_ALIGN_CEIL(mtu + FRAME_OVERHEAD, RECEIVE_BUFFER_UNIT);

    return (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_MAX(frame, 2u * RECEIVE_BUFFER_UNIT));
}

/* Packets that are turned round wait in the port or in the ring for sending. */
static uint32_t receive_buffers(uint32_t receive_descriptors, uint32_t send_descriptors)
{
    return receive_descriptors + send_descriptors + DPDK_PORT_WAITING + RECEIVE_SPARE;
}

size_t dpdk_device_memory(const struct dpdk_device_options *options)
{
    const struct dpdk_port_options port = {.packets = SEND_DESCRIPTORS, .chains = true, .limits = {.mtu = options->mtu}};
    const struct dpdk_port_options copying = {.packets = SEND_DESCRIPTORS, .limits = {.mtu = options->mtu}};
    size_t receiving =
        dpdk_pool_memory(receive_buffers(RECEIVE_DESCRIPTORS, SEND_DESCRIPTORS), receive_buffer_bytes(options->mtu));

    return options->queues * (receiving + RTE_MAX(dpdk_port_memory(&port), dpdk_port_memory(&copying)));
}

static int create_receive_pool(struct dpdk_device *device, unsigned queue)
{
    char name[RTE_MEMPOOL_NAMESIZE];

    if (device->receive_pools[queue])
        return 0;
    snprintf(name, sizeof name, "receive-%u-%u", device->id, queue);
    device->receive_pools[queue] =
        rte_pktmbuf_pool_create(name, receive_buffers(device->receive_descriptors, device->send_descriptors), RECEIVE_CACHE, 0,
                                receive_buffer_bytes(device->options.mtu), device->socket);
    return device->receive_pools[queue] ? 0 : -rte_errno;
}

/* --- what the device is to do --- */

static uint64_t hashes_of(const struct dpdk_device *device)
{
    uint64_t offered = device->info.flow_type_rss_offloads;

    if (device->options.queues == 1 || device->driver->steers_flows)
        return 0;
    return offered & TCP_HASHES ? offered & TCP_HASHES : offered & IP_HASHES;
}

static void choose(struct dpdk_device *device)
{
    const struct rte_eth_dev_info *info = &device->info;
    const struct dpdk_driver *driver = device->driver;

    device->chains = driver->discards || ((info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0 && !driver->never_chains);
    device->cuts =
        device->options.offload && device->chains && (info->tx_offload_capa & CUTTING) == CUTTING && !driver->cuts_in_software;
    device->verifies_checksums = (info->rx_offload_capa & CHECKSUMS) == CHECKSUMS;
    device->spreads_flows = hashes_of(device) != 0;
}

static void fill_key(struct rte_eth_rss_conf *rss, const struct dpdk_device *device, uint8_t key[KEY_BYTES])
{
    uint8_t length = device->info.hash_key_size;

    if (length == 0 || length > KEY_BYTES || getrandom(key, length, 0) != length)
        return;
    rss->rss_key = key;
    rss->rss_key_len = length;
}

static int configure(struct dpdk_device *device, const struct attempt *attempt)
{
    uint16_t queues = (uint16_t)device->options.queues;
    struct rte_eth_conf conf = {.rxmode = {.mtu = device->options.mtu}};
    uint8_t key[KEY_BYTES];

    if (device->verifies_checksums)
        conf.rxmode.offloads |= CHECKSUMS;
    if (device->chains && !device->driver->discards)
        conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (device->cuts)
        conf.txmode.offloads |= CUTTING;
    if (device->spreads_flows) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashes_of(device);
        if (attempt->random_key)
            fill_key(&conf.rx_adv_conf.rss_conf, device, key);
    }
    device->has_random_key = conf.rx_adv_conf.rss_conf.rss_key != NULL;
    conf.intr_conf.rxq = attempt->interrupts;
    conf.intr_conf.lsc = (*device->info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    device->is_configured = true;
    return rte_eth_dev_configure(device->id, queues, queues, &conf);
}

static int set_up_queue(struct dpdk_device *device, uint16_t queue)
{
    struct rte_eth_rxconf receiving = device->info.default_rxconf;
    struct rte_eth_txconf sending = device->info.default_txconf;
    int error = create_receive_pool(device, queue);

    if (error == 0)
        error = rte_eth_rx_queue_setup(device->id, queue, device->receive_descriptors, (unsigned)device->socket, &receiving,
                                       device->receive_pools[queue]);
    if (device->driver->frees_when_short)
        sending.tx_free_thresh = (uint16_t)(device->send_descriptors - 4);
    if (error == 0)
        error = rte_eth_tx_queue_setup(device->id, queue, device->send_descriptors, (unsigned)device->socket, &sending);
    return error;
}

static int start(struct dpdk_device *device, const struct attempt *attempt)
{
    int error = configure(device, attempt);

    device->receive_descriptors = RECEIVE_DESCRIPTORS;
    device->send_descriptors = SEND_DESCRIPTORS;
    if (error == 0)
        error = rte_eth_dev_adjust_nb_rx_tx_desc(device->id, &device->receive_descriptors, &device->send_descriptors);
    for (unsigned i = 0; i < device->options.queues && error == 0; i++)
        error = set_up_queue(device, (uint16_t)i);
    if (error == 0)
        error = rte_eth_dev_start(device->id);
    device->is_started = error == 0;
    return error;
}

/* --- what turns out once the device runs --- */

static bool queue_has_interrupt(const struct dpdk_device *device, uint16_t queue)
{
    if (rte_eth_dev_rx_intr_ctl_q_get_fd(device->id, queue) < 0)
        return false;
    if (device->driver->interrupts_by_data)
        return true;
    return rte_eth_dev_rx_intr_enable(device->id, queue) == 0 && rte_eth_dev_rx_intr_disable(device->id, queue) == 0;
}

static bool all_have_interrupts(const struct dpdk_device *device)
{
    for (unsigned i = 0; i < device->options.queues; i++)
        if (!queue_has_interrupt(device, (uint16_t)i))
            return false;
    return true;
}

static enum dpdk_reclaim reclaim_of(const struct dpdk_device *device)
{
    if (device->driver->reads_by_cpu)
        return DPDK_RECLAIM_NEVER;
    if (device->driver->frees_by_status)
        return DPDK_RECLAIM_STATUS;
    return rte_eth_tx_done_cleanup(device->id, 0, 0) >= 0 ? DPDK_RECLAIM_CLEANUP : DPDK_RECLAIM_FRAME;
}

/* --- checks before --- */

/* As rte_eth_dev_configure computes it. */
static uint32_t largest_mtu(const struct rte_eth_dev_info *info)
{
    uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
                            ? info->max_rx_pktlen - info->max_mtu
                            : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

    return RTE_MIN((uint32_t)info->max_mtu, info->max_rx_pktlen - overhead);
}

static int check(const struct dpdk_device *device, char *error, size_t capacity)
{
    const struct rte_eth_dev_info *info = &device->info;
    const struct dpdk_device_options *options = &device->options;
    unsigned queues = dpdk_device_queue_pairs(device);

    if (options->queues > queues)
        return explain(error, capacity, -ENOSPC, "%s has %u queue pairs, fewer than %u shards: --shards %u", device->name, queues,
                       options->queues, queues);
    if (options->queues > 1 && !device->driver->steers_flows && hashes_of(device) == 0)
        return explain(error, capacity, -ENOTSUP, "%s (%s) can't spread connections over %u queues: --shards 1", device->name,
                       info->driver_name, options->queues);
    if (options->mtu > largest_mtu(info))
        return explain(error, capacity, -EMSGSIZE, "--dpdk-mtu %u is above the %u of %s", options->mtu, largest_mtu(info),
                       device->name);
    return 0;
}

int dpdk_configure(struct dpdk_device *device, char *error, size_t error_capacity)
{
    int result = check(device, error, error_capacity);

    if (result != 0)
        return result;
    choose(device);
    for (unsigned i = 0; i < RTE_DIM(attempts) && !device->is_started; i++)
        result = start(device, &attempts[i]);
    if (result == -ENOMEM || result == -ENOBUFS)
        return explain(error, error_capacity, result,
                       "too little memory of EAL for the buffers of %s: give --eal no -m, or a larger one", device->name);
    if (result != 0)
        return explain(error, error_capacity, result, "%s (%s) does not start: %s", device->name, device->info.driver_name,
                       strerror(-result));
    eal_log_expect_errors(true);
    device->has_interrupts = all_have_interrupts(device);
    device->reclaim = reclaim_of(device);
    eal_log_expect_errors(false);
    return 0;
}
