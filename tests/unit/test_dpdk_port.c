/*
 * The port of mbufs. Most tests put a device of their own behind it, which keeps what it is given until it is told to free it; others use
 * net_null, and a tap in a network namespace of this process.
 */
#include "engine/dpdk/device.h"
#include "engine/dpdk/eal.h"
#include "engine/dpdk/internal.h"
#include "engine/dpdk/memory.h"
#include "flashrelay/clock.h"
#include "support/must.h"
#include "support/skip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LOG_BYTES = 4 << 20, KEPT = 8192, HEADER = 54, PAYLOAD = 1400 };

/* --- EAL, once for all tests --- */

static bool has_tap;
static struct channel_memory_source source;
static struct channel_memory arena; /* the log: each byte tells its place */

static int start_eal(void **state)
{
    struct dpdk_eal_options options = {.port = "net_null0", .arguments = "--no-huge -m 256", .memory_bytes = 256 << 20};
    char error[256] = "";

    (void)state;
    has_tap = access("/dev/net/tun", R_OK | W_OK) == 0 && unshare(CLONE_NEWNET) == 0;
    if (has_tap)
        options.arguments = "--no-huge -m 256 --vdev 'net_tap0,iface=flash0'";
    if (dpdk_eal_start(&options, error, sizeof error) != 0) {
        print_error("%s\n", error);
        return -1;
    }
    source = dpdk_memory_source(SOCKET_ID_ANY);
    must(source.map(source.context, &arena, LOG_BYTES) == 0);
    for (size_t i = 0; i < LOG_BYTES; i++)
        arena.base[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    return 0;
}

static struct dpdk_device *tap; /* opened by the first test that needs it: a device that is closed is gone */

static int stop_eal(void **state)
{
    (void)state;
    if (tap)
        tap->ports[0]->ops->close(tap->ports[0]);
    dpdk_device_close(tap);
    source.unmap(source.context, &arena);
    dpdk_eal_stop();
    return 0;
}

/* --- a device that keeps what it is given --- */

struct device {
    struct rte_mbuf *kept[KEPT];
    unsigned count, capacity;
    struct rte_mempool *arrivals;
    unsigned arriving;
    struct port *port;
};

static uint16_t keep(void *context, struct rte_mbuf **packets, uint16_t count)
{
    struct device *device = context;
    uint16_t taken = (uint16_t)RTE_MIN((unsigned)count, device->capacity - device->count);

    memcpy(device->kept + device->count, packets, taken * sizeof *packets);
    device->count += taken;
    return taken;
}

static uint16_t arrive(void *context, struct rte_mbuf **packets, uint16_t count)
{
    struct device *device = context;
    uint16_t given = (uint16_t)RTE_MIN((unsigned)count, device->arriving);

    for (uint16_t i = 0; i < given; i++) {
        packets[i] = rte_pktmbuf_alloc(device->arrivals);
        must(packets[i] != NULL);
        memset(rte_pktmbuf_append(packets[i], 100), (int)i, 100);
        packets[i]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | (i % 2 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD);
    }
    device->arriving -= given;
    return given;
}

/* Frees the first `count` kept packets, in order. */
static void free_first(struct device *device, unsigned count)
{
    rte_pktmbuf_free_bulk(device->kept, count);
    device->count -= count;
    memmove(device->kept, device->kept + count, device->count * sizeof device->kept[0]);
}

static struct device *device_with(const struct dpdk_port_options *given)
{
    static unsigned devices;
    struct device *device = calloc(1, sizeof *device);
    struct dpdk_port_options options = *given;
    char name[32];

    if (!device)
        abort();
    snprintf(name, sizeof name, "arrivals-%u", devices++);
    device->capacity = KEPT;
    device->arrivals = rte_pktmbuf_pool_create(name, 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    must(device->arrivals != NULL);
    options.burst = (struct dpdk_burst){.transmit = keep, .receive = arrive, .context = device};
    options.socket = SOCKET_ID_ANY;
    options.packets = 1024;
    options.limits.mtu = 1500;
    must(dpdk_port_create(&device->port, &options) == 0);
    device->port->ops->add_memory(device->port, arena.base, arena.length);
    return device;
}

static unsigned in_use(const struct device *device)
{
    const struct dpdk_port *port = (const struct dpdk_port *)device->port;
    unsigned count = rte_mempool_in_use_count(port->headers) + rte_mempool_in_use_count(device->arrivals);

    if (port->options.chains)
        count += rte_mempool_in_use_count(port->payloads) + rte_mempool_in_use_count(port->copies);
    return count;
}

/* Frees everything, and checks that no buffer is lost. */
static void dispose(struct device *device)
{
    device->capacity = KEPT;
    must(device->port->ops->flush(device->port));
    free_first(device, device->count);
    assert_int_equal(in_use(device), 0);
    dpdk_port_destroy(device->port);
    rte_mempool_free(device->arrivals);
    free(device);
}

static const struct dpdk_port_options by_reference = {.chains = true}, in_order = {.chains = true, .frees_in_order = true},
                                      by_copy = {.chains = false};

/* --- segments --- */

/* The header's bytes tell its number. */
static void send_from(struct port *port, const uint8_t *payload, uint32_t payload_bytes, unsigned count)
{
    struct port_segment segments[PORT_BURST];
    uint8_t *headers[PORT_BURST];

    assert_true(port->ops->take_headers(port, headers, count));
    for (unsigned i = 0; i < count; i++) {
        memset(headers[i], (int)i, HEADER);
        segments[i] = (struct port_segment){.header = headers[i],
                                            .header_bytes = HEADER,
                                            .payload = payload ? payload + i * payload_bytes : NULL,
                                            .payload_bytes = payload_bytes};
    }
    port->ops->send(port, segments, count);
}

static void send_log(struct port *port, unsigned count)
{
    send_from(port, arena.base, PAYLOAD, count);
}

/* Checks that `packet` carries header `number` and then `length` bytes from `payload` on. */
static void check_bytes(const struct rte_mbuf *packet, unsigned number, const uint8_t *payload, uint32_t length)
{
    uint8_t copy[HEADER + PAYLOAD], header[HEADER];
    const uint8_t *bytes = rte_pktmbuf_read(packet, 0, HEADER + length, copy);

    memset(header, (int)number, HEADER);
    assert_int_equal(packet->pkt_len, HEADER + length);
    assert_memory_equal(bytes, header, HEADER);
    assert_memory_equal(bytes + HEADER, payload, length);
}

static void a_segment_refers_to_its_payload_in_the_log(void **state)
{
    struct device *device = device_with(&by_reference);

    (void)state;
    device->port->ops->begin_epoch(device->port);
    send_log(device->port, 18);
    assert_int_equal(device->count, 18);
    for (unsigned i = 0; i < 18; i++) {
        assert_ptr_equal(rte_pktmbuf_mtod(device->kept[i]->next, uint8_t *), arena.base + i * PAYLOAD);
        check_bytes(device->kept[i], i, arena.base + i * PAYLOAD, PAYLOAD);
    }
    assert_int_equal(counter_read(&device->port->counters.sent_bytes), 18 * (HEADER + PAYLOAD));
    assert_int_equal(counter_read(&device->port->counters.copied_segments), 0);
    dispose(device);
}

static void a_payload_that_the_port_does_not_know_is_copied(void **state)
{
    struct device *device = device_with(&by_reference);
    uint8_t elsewhere[2 * PAYLOAD];

    (void)state;
    memset(elsewhere, 7, sizeof elsewhere);
    device->port->ops->begin_epoch(device->port);
    send_from(device->port, elsewhere, PAYLOAD, 2);
    memset(elsewhere, 8, sizeof elsewhere);
    for (size_t i = 0; i < PAYLOAD; i++)
        assert_int_equal(rte_pktmbuf_mtod(device->kept[1]->next, uint8_t *)[i], 7);
    assert_int_equal(counter_read(&device->port->counters.copied_segments), 2);
    assert_int_equal(device->port->ops->oldest_epoch(device->port), 2); /* nothing of the log is held */
    dispose(device);
}

static void a_long_payload_is_copied_into_several_buffers(void **state)
{
    struct device *device = device_with(&by_reference);
    static uint8_t elsewhere[20000];

    (void)state;
    memset(elsewhere, 9, sizeof elsewhere);
    device->port->ops->begin_epoch(device->port);
    send_from(device->port, elsewhere, sizeof elsewhere, 1);
    assert_int_equal(device->kept[0]->pkt_len, HEADER + sizeof elsewhere);
    assert_int_equal(rte_pktmbuf_lastseg(device->kept[0])->data_len, sizeof elsewhere % 2048);
    dispose(device);
}

static void without_chains_payloads_are_copied_behind_their_headers(void **state)
{
    struct device *device = device_with(&by_copy);

    (void)state;
    device->port->ops->begin_epoch(device->port);
    send_log(device->port, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(device->kept[i]->nb_segs, 1);
        check_bytes(device->kept[i], i, arena.base + i * PAYLOAD, PAYLOAD);
    }
    assert_int_equal(counter_read(&device->port->counters.copied_segments), 3);
    dispose(device);
}

static void short_frames_are_padded_with_zeros(void **state)
{
    struct device *device = device_with(&by_reference);
    const uint8_t padding[3] = {0};

    (void)state;
    device->port->ops->begin_epoch(device->port);
    send_from(device->port, NULL, 0, 1);
    send_from(device->port, arena.base, 3, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(device->kept[i]->nb_segs, 1);
        assert_int_equal(device->kept[i]->pkt_len, 60);
        assert_memory_equal(rte_pktmbuf_mtod(device->kept[i], uint8_t *) + 57, padding, 3);
    }
    assert_memory_equal(rte_pktmbuf_mtod(device->kept[1], uint8_t *) + HEADER, arena.base, 3);
    dispose(device);
}

/* Two pages of the log get IOVAs that are far apart, as physical addresses may be. */
static void a_payload_across_a_page_border_becomes_two_mbufs(void **state)
{
    struct device *device = device_with(&by_reference);
    struct region *region = &((struct dpdk_port *)device->port)->regions.items[0];
    const uint8_t *border = (const uint8_t *)((region->first_page + 1) << REGION_PAGE_SHIFT);

    (void)state;
    region->pages = calloc(LOG_BYTES / REGION_PAGE_BYTES + 1, sizeof *region->pages);
    region->pages[0] = 8 * REGION_PAGE_BYTES;
    region->pages[1] = 3 * REGION_PAGE_BYTES;
    device->port->ops->begin_epoch(device->port);
    send_from(device->port, border - 100, PAYLOAD, 2);
    assert_int_equal(device->kept[0]->nb_segs, 3);
    assert_int_equal(rte_pktmbuf_iova(device->kept[0]->next), 9 * REGION_PAGE_BYTES - 100);
    assert_int_equal(device->kept[0]->next->data_len, 100);
    assert_int_equal(rte_pktmbuf_iova(device->kept[0]->next->next), 3 * REGION_PAGE_BYTES);
    check_bytes(device->kept[0], 0, border - 100, PAYLOAD);
    assert_int_equal(device->kept[1]->nb_segs, 2);
    dispose(device);
}

static void header_buffers_that_are_not_used_are_taken_back(void **state)
{
    struct device *device = device_with(&by_reference);
    uint8_t *headers[PORT_BURST];

    (void)state;
    assert_true(device->port->ops->take_headers(device->port, headers, PORT_BURST));
    device->port->ops->return_headers(device->port, headers, PORT_BURST);
    dispose(device);
}

static void when_no_header_is_left_none_is_taken(void **state)
{
    struct device *device = device_with(&by_reference);
    uint8_t *headers[KEPT][PORT_BURST];
    unsigned taken = 0;

    (void)state;
    while (device->port->ops->take_headers(device->port, headers[taken], PORT_BURST))
        taken++;
    assert_true(taken * PORT_BURST >= 1024 + DPDK_PORT_WAITING);
    assert_int_equal(counter_read(&device->port->counters.buffer_shortages), 1);
    while (taken-- > 0)
        device->port->ops->return_headers(device->port, headers[taken], PORT_BURST);
    dispose(device);
}

/* --- epochs --- */

static void an_epoch_is_over_once_its_payloads_are_freed(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    assert_int_equal(ops->begin_epoch(device->port), 1);
    send_log(device->port, 3);
    assert_int_equal(ops->begin_epoch(device->port), 2);
    send_log(device->port, 2);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 2);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 2);
    free_first(device, 2);
    assert_int_equal(ops->oldest_epoch(device->port), 3);
    dispose(device);
}

static void an_open_epoch_whose_payloads_are_freed_may_get_more(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    ops->begin_epoch(device->port);
    send_log(device->port, 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 2);
    send_log(device->port, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    dispose(device);
}

/* The device frees the epochs in another order than they began. */
static void the_oldest_epoch_holds_those_behind_it(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    ops->begin_epoch(device->port);
    send_log(device->port, 1);
    ops->begin_epoch(device->port);
    send_log(device->port, 1);
    ops->begin_epoch(device->port);
    rte_pktmbuf_free(device->kept[--device->count]);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 4);
    dispose(device);
}

static void no_epoch_begins_while_all_are_in_use(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    for (uint64_t number = 1; number <= PORT_EPOCHS; number++) {
        assert_int_equal(ops->begin_epoch(device->port), number);
        send_log(device->port, 1);
    }
    assert_int_equal(ops->begin_epoch(device->port), 0);
    assert_int_equal(counter_read(&device->port->counters.epochs_waited), 1);
    free_first(device, 1);
    assert_int_equal(ops->begin_epoch(device->port), PORT_EPOCHS + 1);
    dispose(device);
}

static void an_epoch_of_the_most_segments_is_counted_right(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    ops->begin_epoch(device->port);
    for (unsigned sent = 0; sent < PORT_EPOCH_SEGMENTS; sent += PORT_BURST) {
        send_log(device->port, PORT_BURST);
        free_first(device, device->count - 1);
    }
    ops->begin_epoch(device->port);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 3);
    dispose(device);
}

static void where_packets_are_freed_in_order_the_last_payload_ends_the_epoch(void **state)
{
    struct device *device = device_with(&in_order);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    ops->begin_epoch(device->port);
    send_log(device->port, 18);
    send_from(device->port, NULL, 0, 1);
    for (unsigned i = 0; i < 18; i++)
        assert_int_equal(RTE_MBUF_HAS_EXTBUF(device->kept[i]->next) != 0, i == 17);
    free_first(device, 17);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 2);
    /* The mbufs whose buffers were moved serve as well as the others. */
    ops->begin_epoch(device->port);
    send_log(device->port, 18);
    for (unsigned i = 0; i < 18; i++)
        check_bytes(device->kept[1 + i], i, arena.base + i * PAYLOAD, PAYLOAD);
    dispose(device);
}

/* --- a full ring --- */

static void what_a_full_ring_refuses_is_sent_later_in_order(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    device->capacity = 5;
    ops->begin_epoch(device->port);
    send_log(device->port, 8);
    assert_int_equal(device->count, 5);
    assert_false(ops->flush(device->port));
    device->capacity = 6;
    assert_false(ops->flush(device->port));
    device->capacity = KEPT;
    send_log(device->port, 1); /* behind those that wait */
    assert_int_equal(device->count, 9);
    for (unsigned i = 0; i < 9; i++)
        check_bytes(device->kept[i], i % 8, arena.base + i % 8 * PAYLOAD, PAYLOAD);
    assert_true(ops->flush(device->port));
    assert_int_equal(counter_read(&device->port->counters.send_drops), 0);
    dispose(device);
}

static void what_finds_no_room_behind_a_full_ring_is_dropped_and_held_by_no_epoch(void **state)
{
    struct device *device = device_with(&in_order);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    device->capacity = 0;
    ops->begin_epoch(device->port);
    for (unsigned sent = 0; sent < DPDK_PORT_WAITING; sent += PORT_BURST)
        send_log(device->port, PORT_BURST);
    send_log(device->port, 10);
    assert_int_equal(counter_read(&device->port->counters.send_drops), 10);
    device->capacity = KEPT;
    assert_true(ops->flush(device->port));
    assert_int_equal(device->count, DPDK_PORT_WAITING);
    free_first(device, DPDK_PORT_WAITING - 1);
    assert_int_equal(ops->oldest_epoch(device->port), 1);
    free_first(device, 1);
    assert_int_equal(ops->oldest_epoch(device->port), 2);
    dispose(device);
}

static void a_packet_that_the_device_never_takes_is_dropped_in_the_end(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    device->capacity = 0;
    ops->begin_epoch(device->port);
    send_log(device->port, 2);
    while (counter_read(&device->port->counters.send_drops) == 0) {
        ops->flush(device->port);
        usleep(10000);
    }
    device->capacity = KEPT;
    assert_true(ops->flush(device->port));
    assert_int_equal(device->count, 1);
    check_bytes(device->kept[0], 1, arena.base + PAYLOAD, PAYLOAD);
    dispose(device);
}

static void a_device_that_takes_nothing_holds_no_epoch_for_long(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;
    uint64_t epoch;

    (void)state;
    device->capacity = 0;
    epoch = ops->begin_epoch(device->port);
    send_log(device->port, PORT_BURST);
    while (counter_read(&device->port->counters.send_drops) == 0) {
        ops->flush(device->port);
        usleep(10000);
    }
    for (unsigned i = 1; i < PORT_BURST; i++)
        ops->flush(device->port);
    assert_int_equal(counter_read(&device->port->counters.send_drops), PORT_BURST);
    assert_int_equal(ops->oldest_epoch(device->port), epoch + 1);
    dispose(device);
}

static void a_closed_port_holds_no_packet(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;

    (void)state;
    device->capacity = 2;
    ops->begin_epoch(device->port);
    send_log(device->port, 5);
    device->capacity = 3;
    ops->close(device->port);
    assert_int_equal(device->count, 3);
    free_first(device, 3);
    assert_int_equal(ops->oldest_epoch(device->port), 2);
    dispose(device);
}

/* --- receiving --- */

static void received_packets_are_lent_with_the_verdict_on_their_checksums(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;
    struct port_packet packets[PORT_BURST];

    (void)state;
    device->arriving = 3;
    assert_int_equal(ops->receive(device->port, packets, 2), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(packets[i].length, 100);
        assert_int_equal(packets[i].bytes[99], i);
        assert_true(packets[i].ip_good);
        assert_int_equal(packets[i].tcp_good, i == 1);
        assert_false(packets[i].taken);
    }
    ops->release(device->port, packets, 2);
    assert_int_equal(ops->receive(device->port, packets, PORT_BURST), 1);
    ops->release(device->port, packets, 1);
    assert_int_equal(ops->receive(device->port, packets, PORT_BURST), 0);
    assert_int_equal(counter_read(&device->port->counters.received_bytes), 300);
    dispose(device);
}

static void a_packet_turned_round_is_sent_in_its_own_buffer(void **state)
{
    struct device *device = device_with(&by_reference);
    const struct port_ops *ops = device->port->ops;
    struct port_packet packets[PORT_BURST];

    (void)state;
    device->arriving = 2;
    assert_int_equal(ops->receive(device->port, packets, PORT_BURST), 2);
    packets[1].bytes[0] = 0xaa;
    ops->reflect(device->port, &packets[1], 58);
    assert_true(packets[1].taken);
    ops->release(device->port, packets, 2);
    assert_int_equal(device->count, 1);
    assert_ptr_equal(device->kept[0], packets[1].buffer);
    assert_int_equal(device->kept[0]->pkt_len, 60);
    assert_int_equal(rte_pktmbuf_mtod(device->kept[0], uint8_t *)[0], 0xaa);
    assert_int_equal(rte_pktmbuf_mtod(device->kept[0], uint8_t *)[58], 0);
    dispose(device);
}

/* --- devices of DPDK --- */

static struct dpdk_device *open_device(const char *name)
{
    const struct dpdk_device_options options = {.name = name, .queues = 1, .mtu = 1500, .offload = true};
    struct dpdk_device *device;
    char error[256] = "";

    if (dpdk_device_open(&device, &options, error, sizeof error) != 0)
        fail_msg("%s", error);
    device->ports[0]->ops->add_memory(device->ports[0], arena.base, arena.length);
    return device;
}

static void refused(const struct dpdk_device_options *options, const char *reason)
{
    struct dpdk_device *device;
    char error[256] = "";

    assert_true(dpdk_device_open(&device, options, error, sizeof error) < 0);
    if (!strstr(error, reason))
        fail_msg("\"%s\" does not say: %s", error, reason);
}

static void a_device_that_does_not_fit_is_refused_with_what_to_type(void **state)
{
    (void)state;
    refused(&(struct dpdk_device_options){.name = "net_null7", .queues = 1, .mtu = 1500}, "no driver of DPDK took");
    refused(&(struct dpdk_device_options){.name = "net_null0", .queues = 2000, .mtu = 1500}, "--shards 1024");
    if (has_tap)
        refused(&(struct dpdk_device_options){.name = "net_tap0", .queues = 5, .mtu = 1500}, "--shards 4");
    if (has_tap)
        refused(&(struct dpdk_device_options){.name = "net_tap0", .queues = 1, .mtu = 9000}, "--dpdk-mtu 9000 is above the 150");
}

static void what_the_null_device_has_sent_is_held_by_no_epoch(void **state)
{
    struct dpdk_device *device = open_device("net_null0");
    struct port *port = device->ports[0];

    (void)state;
    port->ops->begin_epoch(port);
    send_log(port, PORT_BURST);
    port->ops->begin_epoch(port);
    assert_int_equal(port->ops->oldest_epoch(port), 3);
    assert_true(device->chains);
    dpdk_device_close(device);
}

/* A packet socket on the kernel's side of the tap. */
static int open_socket(void)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int descriptor = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

    address.sll_ifindex = (int)if_nametoindex("flash0");
    must(descriptor >= 0 && bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0);
    return descriptor;
}

/* Reads the next frame of the test's EtherType; the kernel sends others of its own. */
static size_t read_frame(int descriptor, uint8_t *frame, size_t capacity)
{
    ssize_t length;

    do {
        length = recv(descriptor, frame, capacity, 0);
        must(length > 0);
    } while (frame[12] != 0x88 || frame[13] != 0xb5);
    return (size_t)length;
}

static struct port *open_tap(int *descriptor)
{
    if (!has_tap)
        skip_because("a tap needs root, and a network namespace of its own");
    if (!tap)
        tap = open_device("net_tap0");
    *descriptor = open_socket();
    return tap->ports[0];
}

static void the_kernel_gets_segments_byte_for_byte_from_a_tap(void **state)
{
    uint8_t frame[2048], *header;
    int descriptor;
    struct port *port = open_tap(&descriptor);

    (void)state;
    assert_true(tap->chains);
    assert_false(tap->cuts);
    port->ops->begin_epoch(port);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(port->ops->take_headers(port, &header, 1));
        memset(header, 0xff, 12);
        memcpy(header + 12, "\x88\xb5", 2);
        memset(header + 14, (int)i, 40);
        port->ops->send(port,
                        &(struct port_segment){
                            .header = header, .header_bytes = HEADER, .payload = arena.base + i * 1000, .payload_bytes = PAYLOAD},
                        1);
        assert_int_equal(read_frame(descriptor, frame, sizeof frame), HEADER + PAYLOAD);
        assert_int_equal(frame[14], i);
        assert_memory_equal(frame + HEADER, arena.base + i * 1000, PAYLOAD);
    }
    assert_int_equal(port->ops->oldest_epoch(port), 2);
    assert_int_equal(counter_read(&port->counters.copied_segments), 0);
    close(descriptor);
}

/* Takes packets until one is of the test's EtherType; returns how many were lent with it, the last of them. */
static unsigned receive_frame(struct port *port, struct port_packet *packets)
{
    for (;;) {
        unsigned count = port->ops->receive(port, packets, 1);

        if (count == 1 && packets[0].bytes[12] == 0x88 && packets[0].bytes[13] == 0xb5)
            return count;
        port->ops->release(port, packets, count);
        if (count == 0)
            port->ops->wait(port, CLOCK_NEVER);
    }
}

static void a_frame_from_the_kernel_ends_the_sleep_on_a_tap(void **state)
{
    uint8_t frame[200], answer[2048];
    struct port_packet packet;
    int descriptor;
    struct port *port = open_tap(&descriptor);

    (void)state;
    assert_true(tap->has_interrupts);
    memset(frame, 0x5a, sizeof frame);
    memset(frame, 0xff, 12);
    memcpy(frame + 12, "\x88\xb5", 2);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(write(descriptor, frame, sizeof frame), sizeof frame);
        assert_int_equal(receive_frame(port, &packet), 1);
        assert_int_equal(packet.length, sizeof frame);
        packet.bytes[20] = (uint8_t)i;
        port->ops->reflect(port, &packet, 100);
        port->ops->release(port, &packet, 1);
        assert_int_equal(read_frame(descriptor, answer, sizeof answer), 100);
        assert_int_equal(answer[20], i);
        assert_memory_equal(answer + 21, frame + 21, 79);
    }
    close(descriptor);
}

/* Receives; returns NULL if this thread now gets the signal by which the tap tells its driver that packets wait. */
static void *receive_as_owner(void *port)
{
    int interrupt = rte_eth_dev_rx_intr_ctl_q_get_fd(tap->id, 0);
    struct port_packet packets[PORT_BURST];
    struct port *tap_port = port;
    struct f_owner_ex owner = {0};
    sigset_t blocked;

    tap_port->ops->release(tap_port, packets, tap_port->ops->receive(tap_port, packets, PORT_BURST));
    if (fcntl(interrupt, F_GETOWN_EX, &owner) != 0 || owner.type != F_OWNER_TID || owner.pid != gettid())
        return "another thread gets the signal";
    if (pthread_sigmask(SIG_SETMASK, NULL, &blocked) != 0 || sigismember(&blocked, fcntl(interrupt, F_GETSIG)))
        return "the thread blocks the signal";
    return NULL;
}

static void the_thread_that_receives_from_a_tap_gets_its_signal(void **state)
{
    sigset_t all, before;
    pthread_t thread;
    void *problem;
    int descriptor;
    struct port *port = open_tap(&descriptor);

    (void)state;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* which the thread begins with */
    assert_int_equal(pthread_create(&thread, NULL, receive_as_owner, port), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_join(thread, &problem);
    if (problem)
        fail_msg("%s", (const char *)problem);
    problem = receive_as_owner(port);
    assert_null(problem);
    close(descriptor);
}

static void *wake(void *port)
{
    usleep(20000);
    ((struct port *)port)->ops->wake(port);
    return NULL;
}

static void a_wake_up_ends_the_sleep_or_the_next_one(void **state)
{
    int descriptor;
    struct port *port = open_tap(&descriptor);
    pthread_t thread;

    (void)state;
    port->ops->wake(port);
    port->ops->wait(port, CLOCK_NEVER);
    assert_int_equal(pthread_create(&thread, NULL, wake, port), 0);
    port->ops->wait(port, CLOCK_NEVER);
    pthread_join(thread, NULL);
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_refers_to_its_payload_in_the_log),
        cmocka_unit_test(a_payload_that_the_port_does_not_know_is_copied),
        cmocka_unit_test(a_long_payload_is_copied_into_several_buffers),
        cmocka_unit_test(without_chains_payloads_are_copied_behind_their_headers),
        cmocka_unit_test(short_frames_are_padded_with_zeros),
        cmocka_unit_test(a_payload_across_a_page_border_becomes_two_mbufs),
        cmocka_unit_test(header_buffers_that_are_not_used_are_taken_back),
        cmocka_unit_test(when_no_header_is_left_none_is_taken),
        cmocka_unit_test(an_epoch_is_over_once_its_payloads_are_freed),
        cmocka_unit_test(an_open_epoch_whose_payloads_are_freed_may_get_more),
        cmocka_unit_test(the_oldest_epoch_holds_those_behind_it),
        cmocka_unit_test(no_epoch_begins_while_all_are_in_use),
        cmocka_unit_test(an_epoch_of_the_most_segments_is_counted_right),
        cmocka_unit_test(where_packets_are_freed_in_order_the_last_payload_ends_the_epoch),
        cmocka_unit_test(what_a_full_ring_refuses_is_sent_later_in_order),
        cmocka_unit_test(what_finds_no_room_behind_a_full_ring_is_dropped_and_held_by_no_epoch),
        cmocka_unit_test(a_packet_that_the_device_never_takes_is_dropped_in_the_end),
        cmocka_unit_test(a_device_that_takes_nothing_holds_no_epoch_for_long),
        cmocka_unit_test(a_closed_port_holds_no_packet),
        cmocka_unit_test(received_packets_are_lent_with_the_verdict_on_their_checksums),
        cmocka_unit_test(a_packet_turned_round_is_sent_in_its_own_buffer),
        cmocka_unit_test(a_device_that_does_not_fit_is_refused_with_what_to_type),
        cmocka_unit_test(what_the_null_device_has_sent_is_held_by_no_epoch),
        cmocka_unit_test(the_kernel_gets_segments_byte_for_byte_from_a_tap),
        cmocka_unit_test(a_frame_from_the_kernel_ends_the_sleep_on_a_tap),
        cmocka_unit_test(the_thread_that_receives_from_a_tap_gets_its_signal),
        cmocka_unit_test(a_wake_up_ends_the_sleep_or_the_next_one),
    };

    return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
