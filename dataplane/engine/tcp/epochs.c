#include "engine/tcp/epochs.h"

void epochs_init(struct epochs *epochs)
{
    *epochs = (struct epochs){.oldest = 1};
}

static struct epoch *at(struct epochs *epochs, uint64_t number)
{
    return &epochs->ring[number % PORT_EPOCHS];
}

static void release(struct epoch *epoch, struct engine *engine)
{
    for (unsigned i = 0; i < epoch->channel_count; i++) {
        struct holds *holds = engine->channels[epoch->channels[i].channel].holds;

        if (holds)
            holds_remove(holds, epoch->channels[i].lowest);
    }
    epoch->channel_count = 0;
}

bool epochs_begin(struct epochs *epochs, struct port *port)
{
    uint64_t number = port->ops->begin_epoch(port);

    epochs->is_open = number != 0;
    if (number == 0)
        return false;
    if (!epochs_hold_any(epochs))
        epochs->oldest = number;
    epochs->newest = number;
    *at(epochs, number) = (struct epoch){.number = number};
    return true;
}

/* Holds a frame in an epoch; false if the epoch has as many channels as it may have. */
static bool hold(struct epoch *epoch, struct engine *engine, uint16_t channel, uint64_t sequence)
{
    struct holds *holds = engine->channels[channel].holds;
    unsigned i = 0;

    while (i < epoch->channel_count && epoch->channels[i].channel != channel)
        i++;
    if (i < epoch->channel_count && epoch->channels[i].lowest <= sequence)
        return true;
    if (i == EPOCH_CHANNELS)
        return false;
    if (holds)
        holds_add(holds, sequence);
    if (holds && i < epoch->channel_count)
        holds_remove(holds, epoch->channels[i].lowest);
    epoch->channels[i].channel = channel;
    epoch->channels[i].lowest = sequence;
    if (i == epoch->channel_count)
        epoch->channel_count++;
    return true;
}

bool epochs_hold(struct epochs *epochs, struct engine *engine, uint16_t channel, uint64_t sequence, uint32_t segments)
{
    struct epoch *epoch = at(epochs, epochs->newest);

    if (!epochs->is_open || epoch->segments + segments > PORT_EPOCH_SEGMENTS || !hold(epoch, engine, channel, sequence))
        return false;
    epoch->segments += segments;
    return true;
}

void epochs_release(struct epochs *epochs, struct engine *engine, struct port *port)
{
    uint64_t oldest;

    if (!epochs_hold_any(epochs))
        return;
    oldest = port->ops->oldest_epoch(port);
    while (epochs->oldest < oldest && epochs_hold_any(epochs))
        release(at(epochs, epochs->oldest++), engine);
    if (!epochs_hold_any(epochs))
        epochs->is_open = false;
}

void epochs_release_all(struct epochs *epochs, struct engine *engine)
{
    while (epochs_hold_any(epochs))
        release(at(epochs, epochs->oldest++), engine);
    epochs->is_open = false;
}
