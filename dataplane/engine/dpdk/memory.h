/* Memory of EAL for the logs: known to every driver, and mapped for the card. */
#ifndef DATAPLANE_ENGINE_DPDK_MEMORY_H
#define DATAPLANE_ENGINE_DPDK_MEMORY_H

#include "flashrelay/channel.h"

/* A source whose memory is a memzone on NUMA node `socket` (SOCKET_ID_ANY: any). EAL must be started, and outlive the memory. */
struct channel_memory_source dpdk_memory_source(int socket);

#endif
