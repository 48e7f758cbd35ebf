/* DPDK's environment (EAL): started once per process, in the thread that opens the engine's kind. */
#ifndef DATAPLANE_ENGINE_DPDK_EAL_H
#define DATAPLANE_ENGINE_DPDK_EAL_H

#include <stddef.h>

#define DPDK_NAME_BYTES 64

struct dpdk_eal_options {
    const char *port;      /* as --dpdk-port: a PCI address, or a device that DPDK makes, with its arguments */
    const char *arguments; /* as --eal, or NULL */
    size_t memory_bytes;   /* that will be needed */
};

/*
 * Starts EAL with one lcore and the port's device. Its log goes to log_line. The affinity of the calling thread stays as it is. 0, or a
 * negative errno: `error` says what was wrong and what would help. After a success dpdk_eal_stop ends it; a process can't start it again then.
 */
int dpdk_eal_start(const struct dpdk_eal_options *options, char *error, size_t error_capacity);
void dpdk_eal_stop(void);

/* The name by which DPDK knows the port's device: without arguments, and a PCI address with its domain. */
void dpdk_eal_device_name(const char *port, char name[DPDK_NAME_BYTES]);

/* The first error that a driver or EAL has logged since the start or the last call; empty if there was none. The text is static. */
const char *dpdk_eal_take_error(void);

#endif
