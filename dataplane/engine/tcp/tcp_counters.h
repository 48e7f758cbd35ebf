/* Figures of a TCP engine, written by its thread and read by any. */
#ifndef DATAPLANE_ENGINE_TCP_TCP_COUNTERS_H
#define DATAPLANE_ENGINE_TCP_TCP_COUNTERS_H

#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"

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

#endif
