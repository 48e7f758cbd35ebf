/* What is known of drivers, and can't be asked of them. */
#ifndef DATAPLANE_ENGINE_DPDK_DRIVERS_H
#define DATAPLANE_ENGINE_DPDK_DRIVERS_H

#include <stdbool.h>

struct dpdk_driver {
    const char *name;
    unsigned most_queues;    /* with more queue pairs it fails; 0: as many as it says */
    bool reads_by_cpu;       /* the driver itself reads the packets: any memory will do, and no IOVA is needed */
    bool never_chains;       /* sends only the first mbuf of a packet, whatever it says */
    bool discards;           /* reads no packet, so chains are as good as any */
    bool cuts_in_software;   /* offers TSO, but cuts on the CPU into further mbufs */
    bool steers_flows;       /* gives all packets of a connection to one queue without RSS */
    bool frees_in_order;     /* frees the packets of a queue in the order in which they were sent */
    bool frees_when_short;   /* frees only once fewer descriptors than tx_free_thresh are left */
    bool frees_by_status;    /* rte_eth_tx_descriptor_status frees what was sent */
    bool interrupts_by_data; /* the interrupt's descriptor is readable while packets wait: nothing needs enabling */
};

/* What is known of the driver called `name`, as in rte_eth_dev_info; of an unknown one, nothing. */
const struct dpdk_driver *dpdk_driver_find(const char *name);

#endif
