/* Choosing what a device is to do, and starting it. */
#ifndef DATAPLANE_ENGINE_DPDK_CONFIGURE_H
#define DATAPLANE_ENGINE_DPDK_CONFIGURE_H

#include "engine/dpdk/device.h"

/* Most payload that a card is given to cut: with headers it fits a packet's 16-bit length. */
#define PORT_TSO_BYTES 64000

/* Configures and starts a device whose `info` is known. 0, or a negative errno: `error` says why and what would help. */
int dpdk_configure(struct dpdk_device *device, char *error, size_t error_capacity);

#endif
