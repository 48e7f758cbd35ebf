#include "engine/dpdk/drivers.h"

#include <stddef.h>
#include <string.h>

/*
 * As in the sources of DPDK 22.11 to 24.11. That a driver frees in order must be known for sure: a log's memory would be reused while the
 * card reads it. It is claimed only for drivers that tests run on; each of them frees a packet in the call that sends it. Not so: net_ring
 * (whoever takes the packet frees it), virtio (the host may return buffers in any order), mlx5 (frees at once what it sends inline).
 */
static const struct dpdk_driver drivers[] = {
    {.name = "net_null", .reads_by_cpu = true, .discards = true, .frees_in_order = true, .steers_flows = true},
    {.name = "net_ring", .reads_by_cpu = true, .steers_flows = true},
    {.name = "net_tap",
     .most_queues =
         4, /* before 24.11 its message to other processes overflows with more: two descriptors per queue, room for 8 */
     .reads_by_cpu = true,
     .cuts_in_software = true,
     .steers_flows = true,
     .frees_in_order = true,
     .interrupts_by_data = true},
    {.name = "net_af_packet", .reads_by_cpu = true, .frees_in_order = true, .steers_flows = true},
    {.name = "net_af_xdp", .reads_by_cpu = true, .never_chains = true, .steers_flows = true},
    {.name = "net_pcap", .reads_by_cpu = true},
    {.name = "net_virtio", .steers_flows = true, .frees_when_short = true},
    {.name = "net_virtio_user", .steers_flows = true, .frees_when_short = true},
    {.name = "mlx5_pci", .frees_by_status = true},
    {.name = "mlx5_auxiliary", .frees_by_status = true},
};

const struct dpdk_driver *dpdk_driver_find(const char *name)
{
    static const struct dpdk_driver unknown = {.name = "unknown"};

    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (name && strcmp(drivers[i].name, name) == 0)
            return &drivers[i];
    return &unknown;
}
