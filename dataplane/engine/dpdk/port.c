#include "engine/dpdk/port.h"

#include "engine/dpdk/device.h"
#include "engine/dpdk/internal.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <rte_errno.h>
#include <rte_ethdev.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread sleeps at most where no interrupt ends the sleep. */
#define NAP_NS (50 * NS_PER_US)
/* Buffers that each lcore keeps of a pool. */
#define CACHED 512
/* Bytes of each mbuf for copies, and how many there are: only memory that the engine learns of too late is copied into them. */
#define COPY_BYTES 2048
#define COPIES     2048

#define SMALL_PAGE_BYTES ((size_t)4096)

static const struct port_ops ops;

/* --- life --- */

static uint32_t mbufs_of(const struct dpdk_port_options *options, unsigned per_packet)
{
    return per_packet * (options->packets + DPDK_PORT_WAITING + PORT_BURST) + 3 * CACHED;
}

static uint16_t header_room(const struct dpdk_port_options *options)
{
    uint32_t bytes = options->chains ? PORT_HEADER_BYTES : PORT_HEADER_BYTES + options->limits.mtu;

    return (uint16_t)RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + bytes, RTE_CACHE_LINE_SIZE);
}

/*
 * Each mbuf has a header and a trailer of the pool, each lcore a cache, and the free ones stand in a ring. Without huge pages no mbuf lies
 * across the border of a page.
 */
size_t dpdk_pool_memory(unsigned count, uint16_t room)
{
    size_t mbuf = sizeof(struct rte_mbuf) + 2 * RTE_CACHE_LINE_SIZE + room;
    size_t per_page = RTE_MAX(SMALL_PAGE_BYTES / mbuf, (size_t)1), bytes = RTE_ALIGN_CEIL(mbuf * per_page, SMALL_PAGE_BYTES);
    size_t mbufs = (count / per_page + 1) * bytes;

    return mbufs + RTE_MAX_LCORE * sizeof(struct rte_mempool_cache) + rte_align32pow2(count + 1) * sizeof(void *);
}

size_t dpdk_port_memory(const struct dpdk_port_options *options)
{
    size_t bytes = dpdk_pool_memory(mbufs_of(options, 1), header_room(options));

    if (options->chains)
        bytes += dpdk_pool_memory(mbufs_of(options, 2), 0) + dpdk_pool_memory(COPIES, RTE_PKTMBUF_HEADROOM + COPY_BYTES);
    return bytes;
}

/* Numbers make the names of pools unique. */
static struct rte_mempool *create_pool(const char *what, unsigned count, uint16_t room, int socket)
{
    static _Atomic unsigned pools;
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof name, "%s-%u", what, atomic_fetch_add(&pools, 1));
    return rte_pktmbuf_pool_create(name, count, CACHED, 0, room, socket);
}

static int create_pools(struct dpdk_port *port)
{
    const struct dpdk_port_options *options = &port->options;

    port->headers = create_pool("headers", mbufs_of(options, 1), header_room(options), options->socket);
    if (!port->headers)
        return -rte_errno;
    if (!options->chains)
        return 0;
    port->payloads = create_pool("payloads", mbufs_of(options, 2), 0, options->socket);
    if (!port->payloads)
        return -rte_errno;
    port->copies = create_pool("copies", COPIES, RTE_PKTMBUF_HEADROOM + COPY_BYTES, options->socket);
    return port->copies ? 0 : -rte_errno;
}

static int interrupt_of(const struct dpdk_port_options *options)
{
    return options->queue && options->has_interrupts
               ? rte_eth_dev_rx_intr_ctl_q_get_fd(options->queue->device, options->queue->queue)
               : -1;
}

int dpdk_port_create(struct port **out, const struct dpdk_port_options *options)
{
    struct dpdk_port *port = calloc(1, sizeof *port);
    int error;

    if (!port)
        return -ENOMEM;
    port->port.ops = &ops;
    port->port.limits = options->limits;
    port->options = *options;
    port->sleeper = (struct sleeper){.set = -1, .event = -1};
    port_epochs_init(&port->epochs);
    error = create_pools(port);
    if (error == 0)
        error = sleeper_init(&port->sleeper, interrupt_of(options));
    if (error != 0) {
        dpdk_port_destroy(&port->port);
        return error;
    }
    *out = &port->port;
    return 0;
}

void dpdk_port_destroy(struct port *base)
{
    struct dpdk_port *port = (struct dpdk_port *)base;

    if (!port)
        return;
    dpdk_port_drop_waiting(port);
    rte_pktmbuf_free_bulk(port->early, port->early_count);
    sleeper_dispose(&port->sleeper);
    regions_dispose(&port->regions);
    rte_mempool_free(port->copies);
    rte_mempool_free(port->payloads);
    rte_mempool_free(port->headers);
    free(port);
}

/* What waits now is not sent any more; what was given to the device before is, as far as there is time. */
static void close_port(struct port *base)
{
    struct dpdk_port *port = (struct dpdk_port *)base;

    dpdk_port_flush(base);
    dpdk_port_drop_waiting(port);
    if (port->options.device)
        dpdk_device_stop(port->options.device);
}

static void add_memory(struct port *base, const void *memory, size_t length)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    int error = port->options.chains ? regions_add(&port->regions, memory, length, port->options.needs_iova) : 0;

    if (error != 0)
        log_line(LOG_WARN, "dpdk", "a log lies in memory that the device cannot read: its flashblocks are copied for sending");
}

/* --- receiving --- */

static bool is_of_this_thread(const struct dpdk_port *port)
{
    return port->has_thread && pthread_equal(port->thread, pthread_self());
}

/*
 * Makes the port that of the calling thread: who proves that addresses are free is not who serves. Lets EAL keep buffers for the thread;
 * without that, which is slower, it still works.
 */
static void take_port(struct dpdk_port *port)
{
    port->thread = pthread_self();
    port->has_thread = true;
    if (port->options.has_interrupts)
        sleeper_take_signal(interrupt_of(&port->options));
    if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() != 0)
        log_line(LOG_WARN, "dpdk", "EAL does not take another thread (%s): buffers are exchanged more slowly",
                 rte_strerror(rte_errno));
}

static unsigned receive_mbufs(struct dpdk_port *port, struct rte_mbuf **mbufs, unsigned capacity)
{
    const struct dpdk_burst *burst = &port->options.burst;
    unsigned count = RTE_MIN(port->early_count, capacity);

    if (likely(count == 0))
        return burst->receive(burst->context, mbufs, (uint16_t)capacity);
    memcpy(mbufs, port->early, count * sizeof *mbufs);
    port->early_count -= count;
    memmove(port->early, port->early + count, port->early_count * sizeof *mbufs);
    return count;
}

static unsigned receive(struct port *base, struct port_packet *packets, unsigned capacity)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    struct rte_mbuf *mbufs[PORT_BURST];
    unsigned count, lent = 0;
    uint64_t bytes = 0;

    if (unlikely(!is_of_this_thread(port)))
        take_port(port);
    count = receive_mbufs(port, mbufs, RTE_MIN(capacity, (unsigned)PORT_BURST));
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *mbuf = mbufs[i];

        bytes += mbuf->pkt_len;
        if (unlikely(mbuf->nb_segs > 1)) {
            rte_pktmbuf_free(mbuf);
            port->chained_drops++;
            continue;
        }
        packets[lent++] = (struct port_packet){
            .bytes = rte_pktmbuf_mtod(mbuf, uint8_t *),
            .length = mbuf->data_len,
            .ip_good = (mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD,
            .tcp_good = (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD,
            .buffer = mbuf,
        };
    }
    counter_add(&base->counters.received_packets, count);
    counter_add(&base->counters.received_bytes, bytes);
    return lent;
}

/* Sends the packets that were turned round, too. */
static void release(struct port *base, struct port_packet *packets, unsigned count)
{
    struct rte_mbuf *mbufs[PORT_BURST];
    unsigned left = 0;

    for (unsigned i = 0; i < count; i++)
        if (!packets[i].taken)
            mbufs[left++] = packets[i].buffer;
    rte_pktmbuf_free_bulk(mbufs, left);
    if (left < count)
        dpdk_port_flush(base);
}

/* The packet waits until `release`, so that a burst of packets turned round is sent at once. */
static void reflect(struct port *base, struct port_packet *packet, uint32_t length)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    struct rte_mbuf *mbuf = packet->buffer;

    packet->taken = true;
    if (length < SHORTEST_FRAME_BYTES && rte_pktmbuf_tailroom(mbuf) + mbuf->data_len >= SHORTEST_FRAME_BYTES) {
        memset(packet->bytes + length, 0, SHORTEST_FRAME_BYTES - length);
        length = SHORTEST_FRAME_BYTES;
    }
    mbuf->data_len = (uint16_t)length;
    mbuf->pkt_len = length;
    mbuf->ol_flags = 0;
    counter_add(&base->counters.sent_packets, 1);
    counter_add(&base->counters.sent_bytes, length);
    dpdk_port_append(port, mbuf);
}

/* --- epochs --- */

static uint64_t begin_epoch(struct port *base)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    uint64_t number = port_epochs_begin(&port->epochs);

    if (number == 0)
        counter_add(&base->counters.epochs_waited, 1);
    return number;
}

static uint64_t oldest_epoch(struct port *base)
{
    return port_epochs_oldest(&((struct dpdk_port *)base)->epochs);
}

/* --- time and sleep --- */

static uint64_t now(struct port *base)
{
    (void)base;
    return clock_monotonic_ns();
}

/* Asks for an interrupt, and looks once more for packets that came before. True if the thread may sleep. */
static bool prepare_sleep(struct dpdk_port *port)
{
    const struct dpdk_queue *queue = port->options.queue;

    if (!port->options.has_interrupts)
        return true;
    rte_eth_dev_rx_intr_enable(queue->device, queue->queue);
    if (port->early_count == 0)
        port->early_count = receive_mbufs(port, port->early, PORT_BURST);
    return port->early_count == 0;
}

static void end_sleep(const struct dpdk_port *port)
{
    if (port->options.has_interrupts)
        rte_eth_dev_rx_intr_disable(port->options.queue->device, port->options.queue->queue);
}

static uint64_t sleep_limit(const struct dpdk_port *port, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns(), limit_ns = deadline_ns;

    if (deadline_ns != CLOCK_NEVER)
        limit_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    /* No interrupt says that the ring has room again. */
    return port->options.has_interrupts && port->waiting.count == 0 ? limit_ns : RTE_MIN(limit_ns, NAP_NS);
}

static void wait(struct port *base, uint64_t deadline_ns)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    uint64_t limit_ns = sleep_limit(port, deadline_ns);

    if (limit_ns > 0 && prepare_sleep(port))
        sleeper_sleep(&port->sleeper, limit_ns);
    end_sleep(port);
}

static void wake(struct port *base)
{
    sleeper_wake(&((struct dpdk_port *)base)->sleeper);
}

/* --- figures --- */

static enum port_link link_of(uint16_t device)
{
    struct rte_eth_link link = {0};

    if (rte_eth_link_get_nowait(device, &link) != 0)
        return PORT_LINK_UNKNOWN;
    return link.link_status == RTE_ETH_LINK_UP ? PORT_LINK_UP : PORT_LINK_DOWN;
}

/* The device counts for all its queues together, and has one link, so only the port of the first one reports that. */
static void update_counters(struct port *base)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    const struct dpdk_queue *queue = port->options.queue;
    struct rte_eth_stats stats = {0};

    if (queue && queue->queue == 0) {
        rte_eth_stats_get(queue->device, &stats);
        counter_set(&base->counters.link, link_of(queue->device));
    }
    counter_set(&base->counters.receive_drops, stats.imissed + stats.rx_nombuf);
    counter_set(&base->counters.receive_errors, stats.ierrors + port->chained_drops);
}

static const struct port_ops ops = {
    .add_memory = add_memory,
    .receive = receive,
    .release = release,
    .reflect = reflect,
    .take_headers = dpdk_port_take_headers,
    .return_headers = dpdk_port_return_headers,
    .send = dpdk_port_send,
    .flush = dpdk_port_flush,
    .begin_epoch = begin_epoch,
    .oldest_epoch = oldest_epoch,
    .reclaim = dpdk_port_reclaim,
    .now = now,
    .wait = wait,
    .wake = wake,
    .close = close_port,
    .update_counters = update_counters,
};
