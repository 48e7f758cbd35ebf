/* Figures of engines that have a TCP of their own (DPDK's), and of the ports under them. Written by the engine's thread, read by any. */
#ifndef FLASHRELAY_ENGINE_TCP_H
#define FLASHRELAY_ENGINE_TCP_H

#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"

struct engine;

enum tcp_retransmit_cause {
    RETRANSMIT_RACK,      /* RFC 8985 with selective acknowledgements */
    RETRANSMIT_DUPLICATE, /* RFC 6582: duplicate or partial acknowledgements without them */
    RETRANSMIT_PROBE,     /* tail loss probe */
    RETRANSMIT_TIMEOUT,   /* RFC 6298 */
    RETRANSMIT_CAUSES
};

enum tcp_drop_cause {
    DROP_FOREIGN,  /* not for an address, protocol or VLAN of the port */
    DROP_FRAGMENT, /* fragments, IP options, extension headers */
    DROP_MALFORMED,
    DROP_CHECKSUM,
    DROP_PAUSED,       /* a SYN, or the ACK of a handshake, while accepting is paused or no slot is free */
    DROP_COOKIE,       /* an ACK without a connection or a valid cookie */
    DROP_OUT_OF_ORDER, /* data behind a gap */
    DROP_CAUSES
};

struct tcp_counters {
    counter segments_received, segments_sent; /* TCP; a segment that the card cuts counts as those it becomes */
    counter retransmitted[RETRANSMIT_CAUSES]; /* segments */
    counter timeouts, probes, zero_window_probes, recoveries;
    counter cookies_sent, cookies_accepted;
    counter resets_sent, resets_received, challenge_acks, mtu_reductions;
    counter dropped[DROP_CAUSES];
    counter unacknowledged_bytes; /* now, of all connections */
    counter recovery_blocks_used; /* now */
    counter recovery_blocks_missing;
    struct histogram rtt_us;
    struct histogram cwnd_bytes; /* of connections when a round-trip time was measured */
};

/* The link of the device, as it was within the last second. Only the port of the device's first queue knows it. */
enum port_link { PORT_LINK_UNKNOWN, PORT_LINK_DOWN, PORT_LINK_UP };

/* Of one queue pair; drops and errors of the device, which counts for all its queues together, are with the first one. */
struct port_counters {
    counter received_packets, received_bytes, sent_packets, sent_bytes; /* packets as handed over, bytes with Ethernet header */
    counter receive_drops;                                              /* by the device, for want of buffers or room */
    counter receive_errors;                                             /* counted by the device */
    counter send_drops;      /* packets for which the ring and the queue behind it had no room */
    counter copied_segments; /* whose payload was copied, because the device cannot chain or the log is not known to it */
    counter epochs_waited;   /* times that all epochs were in use */
    counter buffer_shortages;
    counter link; /* enum port_link */
};

/* The figures of an engine's TCP, and of its port; NULL for an engine of another kind. They live as long as the engine and the port. Any thread. */
const struct tcp_counters *tcp_engine_counters(const struct engine *engine);
const struct port_counters *tcp_engine_port_counters(const struct engine *engine);

#endif
