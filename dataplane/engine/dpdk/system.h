/*
 * What a port needs of the system before EAL starts, read from /proc, /sys and /dev below `root` (empty but for tests), so that what lacks is
 * said in one line with what to type.
 */
#ifndef DATAPLANE_ENGINE_DPDK_SYSTEM_H
#define DATAPLANE_ENGINE_DPDK_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True for a PCI address, "3b:00.0" or "0000:3b:00.0", with or without arguments behind a comma. */
bool system_is_pci(const char *port);
bool system_has_pci_domain(const char *port);

/* True for a device that DPDK makes ("net_tap0,iface=flash0") and that drives no card itself. */
bool system_needs_no_card(const char *port);

struct system_huge_pages {
    uint64_t free_bytes;             /* of all sizes together */
    uint64_t page_bytes, page_count; /* of the default size */
};

void system_read_huge_pages(struct system_huge_pages *pages, const char *root);

/* What to write to /proc/sys/vm/nr_hugepages so that `needed` bytes are free. */
uint64_t system_huge_pages_for(const struct system_huge_pages *pages, uint64_t needed);

/*
 * Checks that the port can be used: a PCI device is there, bound to a driver for DPDK, and its VFIO group may be opened; a tap or AF_XDP
 * socket may be made. 0, or a negative errno: `error` says what is missing and what to type.
 */
int system_check_port(const char *port, const char *root, char *error, size_t error_capacity);

#endif
