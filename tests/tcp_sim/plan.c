#include "tcp_sim/plan.h"

#include "flashrelay/clock.h"

static bool chance(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

static double probability(struct random *random, double most)
{
    return (double)random_below(random, 1001) / 1000 * most;
}

static void draw_faults(struct random *random, struct wire_settings *settings)
{
    *settings = (struct wire_settings){.delay_ns = random_below(random, 60) * NS_PER_MS / 2};
    if (chance(random, 30))
        settings->delay_ns = random_below(random, 500) * NS_PER_US;
    if (chance(random, 50))
        settings->jitter_ns = random_below(random, 5) * NS_PER_MS;
    if (chance(random, 60))
        settings->loss = probability(random, chance(random, 20) ? 0.3 : 0.05);
    if (chance(random, 40)) {
        settings->reorder = probability(random, 0.1);
        settings->reorder_ns = (1 + random_below(random, 30)) * NS_PER_MS;
    }
    if (chance(random, 30))
        settings->duplicate = probability(random, 0.1);
    if (chance(random, 30))
        settings->corrupt = probability(random, 0.05);
    if (chance(random, 40)) {
        settings->rate_bits = 1000000 * (1 + random_below(random, 100));
        settings->queue_bytes = 20000 + random_below(random, 200000);
    }
}

static void draw_card(struct random *random, struct wire_port_options *card)
{
    *card = (struct wire_port_options){.mac = {2, 0, 0, 0, 0, 1},
                                       .has_verdicts = chance(random, 50),
                                       .frees_late = chance(random, 50),
                                       .cannot_reclaim = chance(random, 20),
                                       .stay_maximum_ns = random_below(random, 3) * 5 * NS_PER_US,
                                       .seed = random_next(random)};
    if (chance(random, 40))
        card->tso_bytes = 65000;
    if (chance(random, 30)) {
        card->ring_segments = 128;
        card->queue_segments = (uint32_t)(256 + random_below(random, 1024));
    }
    if (chance(random, 20))
        card->header_shortage = probability(random, 0.3);
    if (chance(random, 20))
        card->stay_maximum_ns = random_below(random, 100) * NS_PER_US;
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    static const uint16_t mtus[] = {1500, 1500, 1500, 1280, 9000, 1400};
    struct random random;

    random_seed(&random, seed);
    *plan = (struct plan){.seed = seed};
    for (unsigned i = 0; i < 2; i++)
        draw_faults(&random, &plan->faults[i]);
    draw_card(&random, &plan->card);
    plan->mtu = mtus[random_below(&random, sizeof mtus / sizeof mtus[0])];
    plan->card.mtu = plan->mtu;
    plan->mtu_falls = chance(&random, 15);
    plan->frame_bytes = chance(&random, 30) ? 60000 : chance(&random, 50) ? 4000 : 300;
    plan->arena_bytes = 2 * plan->frame_bytes + (1 << 16) + random_below(&random, 1 << 20);
    plan->frames = (unsigned)(5 + random_below(&random, 60));
    plan->fault_frames = (unsigned)(plan->frames * 3 / 4);
    plan->peers = (unsigned)(1 + random_below(&random, PLAN_PEERS));
    plan->publish_ns = (1 + random_below(&random, 400)) * NS_PER_MS;
    plan->act_permille = (unsigned)random_below(&random, 200);
    plan->max_connections = (uint32_t)(chance(&random, 20) ? 1 + random_below(&random, plan->peers) : 2 * PLAN_PEERS);
    plan->sends_per_turn = (uint32_t)(chance(&random, 30) ? 1 + random_below(&random, 4) : 64);
}

void plan_draw_peer(const struct plan *plan, struct random *random, struct tcp_peer_options *options)
{
    static const uint16_t sizes[] = {1460, 1460, 1460, 536, 1440, 1220, 8960, 0, 88};

    (void)plan;
    *options = (struct tcp_peer_options){.mss = sizes[random_below(random, sizeof sizes / sizeof sizes[0])],
                                         .scale = (int)random_below(random, 12) - 1,
                                         .permits_sack = !chance(random, 25),
                                         .sends_dsack = chance(random, 70),
                                         .offers_timestamps = chance(random, 50),
                                         .buffer_bytes = (uint32_t)(2000 + random_below(random, 1 << 18)),
                                         .ack_every = 1,
                                         .initial_sequence = (uint32_t)random_next(random)};
    if (chance(random, 60)) {
        options->ack_every = 2;
        options->ack_delay_ns = 40 * NS_PER_MS;
    } else if (chance(random, 30)) {
        options->ack_every = 44;
        options->ack_delay_ns = NS_PER_MS;
    }
    if (chance(random, 10))
        options->initial_sequence = UINT32_MAX - 100;
}
