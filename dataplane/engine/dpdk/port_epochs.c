#include "engine/dpdk/port_epochs.h"

void port_epochs_init(struct port_epochs *epochs)
{
    *epochs = (struct port_epochs){.oldest = 1, .next = 1};
}

static struct port_epoch *place_of(struct port_epochs *epochs, uint64_t number)
{
    return &epochs->ring[number % PORT_EPOCHS];
}

static void on_over(void *bytes, void *context)
{
    struct port_epoch *epoch = context;

    (void)bytes;
    atomic_store_explicit(&epoch->over, true, memory_order_release);
}

static void close_open(struct port_epochs *epochs)
{
    struct port_epoch *epoch = epochs->open;

    epochs->open = NULL;
    if (epoch && rte_mbuf_ext_refcnt_update(&epoch->info, -1) == 0)
        on_over(NULL, epoch);
}

static void pass_those_that_are_over(struct port_epochs *epochs)
{
    while (epochs->oldest < epochs->next && atomic_load_explicit(&place_of(epochs, epochs->oldest)->over, memory_order_acquire))
        epochs->oldest++;
}

uint64_t port_epochs_begin(struct port_epochs *epochs)
{
    close_open(epochs);
    pass_those_that_are_over(epochs);
    if (epochs->next - epochs->oldest == PORT_EPOCHS)
        return 0;
    epochs->open = place_of(epochs, epochs->next);
    atomic_store_explicit(&epochs->open->over, false, memory_order_relaxed);
    epochs->open->info.free_cb = on_over;
    epochs->open->info.fcb_opaque = epochs->open;
    rte_mbuf_ext_refcnt_set(&epochs->open->info, 1);
    return epochs->next++;
}

/* The open epoch is not over for good: more may be sent in it. Until then there is nothing of it to wait for. */
static bool is_open_and_sent(const struct port_epochs *epochs)
{
    return epochs->open && epochs->oldest + 1 == epochs->next && rte_mbuf_ext_refcnt_read(&epochs->open->info) == 1;
}

uint64_t port_epochs_oldest(struct port_epochs *epochs)
{
    pass_those_that_are_over(epochs);
    return is_open_and_sent(epochs) ? epochs->next : epochs->oldest;
}
