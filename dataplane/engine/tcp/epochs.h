/*
 * The frames that the port may still read: each epoch holds the lowest frame of each channel that was sent in it, in the holds of the
 * engine's channels, until the port says that the epoch is over. One thread.
 */
#ifndef DATAPLANE_ENGINE_TCP_EPOCHS_H
#define DATAPLANE_ENGINE_TCP_EPOCHS_H

#include "engine/tcp/port.h"
#include "flashrelay/engine.h"

/* Most channels of which frames are sent in one epoch; another one begins the next. */
#define EPOCH_CHANNELS 4

struct epoch {
    uint64_t number;
    uint32_t segments;
    uint32_t channel_count;
    struct {
        uint64_t lowest;
        uint16_t channel;
    } channels[EPOCH_CHANNELS];
};

struct epochs {
    struct epoch ring[PORT_EPOCHS]; /* by number, modulo their count */
    uint64_t oldest, newest;        /* numbers of those that hold frames; none if newest < oldest */
    bool is_open;                   /* segments may be added to the newest */
};

void epochs_init(struct epochs *epochs);

/* Begins an epoch, to which the segments belong that the port is given from now on. False if none is free. */
bool epochs_begin(struct epochs *epochs, struct port *port);

/*
 * Holds frame `sequence` of a channel in the open epoch, for `segments` segments that are about to be sent. False if no epoch is open, or if
 * this one can take no more: the caller gives the port what belongs to it, and then begins another one.
 */
bool epochs_hold(struct epochs *epochs, struct engine *engine, uint16_t channel, uint64_t sequence, uint32_t segments);

/*
 * Ends the open epoch, at the end of a turn: frames are then let go of turn by turn. Where the port lets go of what it has sent only as it needs
 * room, small turns would soon use up all epochs: so the epoch stays open while many are in use.
 */
static inline void epochs_end_turn(struct epochs *epochs)
{
    if (epochs->newest - epochs->oldest < PORT_EPOCHS / 2)
        epochs->is_open = false;
}

/* Lets go of the frames of epochs that are over. Everything that belongs to the open epoch must have been given to the port. */
void epochs_release(struct epochs *epochs, struct engine *engine, struct port *port);

/* True while an epoch holds frames. */
static inline bool epochs_hold_any(const struct epochs *epochs)
{
    return epochs->newest >= epochs->oldest;
}

/* Lets go of all frames, when the port has stopped. */
void epochs_release_all(struct epochs *epochs, struct engine *engine);

#endif
