#include "population/transmit_ring.h"

#include <rte_prefetch.h>

#include <errno.h>
#include <stdlib.h>

#define MASK (TRANSMIT_RING_ENTRIES - 1)

/* Most bytes of one descriptor. */
#define DESCRIPTOR_BYTES 16383

/* The layout of a descriptor's second word. */
#define TYPE_CONTEXT    UINT64_C(1)
#define END_OF_PACKET   (UINT64_C(1) << 4)
#define OFFSET_SHIFT    16
#define SIZE_SHIFT      34
#define TSO_BYTES_SHIFT 30
#define MSS_SHIFT       50

int transmit_ring_init(struct transmit_ring *ring)
{
    *ring = (struct transmit_ring){
        .descriptors = aligned_alloc(64, TRANSMIT_RING_ENTRIES * sizeof *ring->descriptors),
        .held = calloc(TRANSMIT_RING_ENTRIES, sizeof(struct rte_mbuf *)),
    };
    if (ring->descriptors && ring->held)
        return 0;
    transmit_ring_dispose(ring);
    return -ENOMEM;
}

void transmit_ring_dispose(struct transmit_ring *ring)
{
    if (ring->held)
        transmit_ring_clean(ring);
    free(ring->descriptors);
    free(ring->held);
    *ring = (struct transmit_ring){0};
}

/* Takes the next descriptor, frees the mbuf that it had, and gives it `mbuf`. */
static inline struct transmit_descriptor *take(struct transmit_ring *ring, struct rte_mbuf *mbuf)
{
    uint32_t index = ring->next;
    struct rte_mbuf *previous = ring->held[index];

    ring->next = (index + 1) & MASK;
    rte_prefetch0(ring->held[ring->next]);
    if (previous)
        rte_pktmbuf_free_seg(previous);
    ring->held[index] = mbuf;
    return &ring->descriptors[index];
}

static inline void write_descriptor(struct transmit_descriptor *descriptor, uint64_t address, uint64_t command)
{
    volatile struct transmit_descriptor *written = descriptor; /* the card reads it: no store may be left out */

    written->address = address;
    written->command = command;
}

static void add_context(struct transmit_ring *ring, const struct rte_mbuf *packet)
{
    uint64_t payload_bytes = packet->pkt_len - packet->l2_len - packet->l3_len - packet->l4_len;

    write_descriptor(take(ring, NULL), 0,
                     TYPE_CONTEXT | payload_bytes << TSO_BYTES_SHIFT | (uint64_t)packet->tso_segsz << MSS_SHIFT);
}

void transmit_ring_add(struct transmit_ring *ring, struct rte_mbuf *packet)
{
    bool segmented = (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
    uint64_t offset = 0;

    if (segmented) {
        offset = (uint64_t)(packet->l2_len >> 1 | packet->l3_len >> 2 << 7 | packet->l4_len >> 2 << 14) << OFFSET_SHIFT;
        add_context(ring, packet);
    }
    for (struct rte_mbuf *mbuf = packet, *next; mbuf; mbuf = next) {
        struct transmit_descriptor *descriptor = take(ring, mbuf);
        uint64_t address = rte_mbuf_data_iova(mbuf);
        uint32_t bytes = mbuf->data_len;

        next = mbuf->next;
        for (; segmented && bytes > DESCRIPTOR_BYTES; bytes -= DESCRIPTOR_BYTES, address += DESCRIPTOR_BYTES) {
            write_descriptor(descriptor, address, offset | (uint64_t)DESCRIPTOR_BYTES << SIZE_SHIFT);
            descriptor = take(ring, NULL);
        }
        write_descriptor(descriptor, address, offset | (uint64_t)bytes << SIZE_SHIFT | (next ? 0 : END_OF_PACKET));
    }
}

void transmit_ring_clean(struct transmit_ring *ring)
{
    for (uint32_t i = 0; i < TRANSMIT_RING_ENTRIES; i++)
        take(ring, NULL);
}
