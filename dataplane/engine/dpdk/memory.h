/* Memory of EAL for the logs: known to every driver, and mapped for the card. */
#ifndef DATAPLANE_ENGINE_DPDK_MEMORY_H
#define DATAPLANE_ENGINE_DPDK_MEMORY_H

#include "engine/dpdk/device.h"
#include "flashrelay/channel.h"

/*
 * A source whose memory is a memzone near the device. EAL must outlive the memory, and the device must outlive the source: it is stopped
 * before memory that it may still read is given back. NULL: no device reads it.
 */
struct channel_memory_source dpdk_memory_source(struct dpdk_device *device);

#endif
