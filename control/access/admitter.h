/* The control thread that answers what shards ask: may this connection take a place? */
#ifndef CONTROL_ACCESS_ADMITTER_H
#define CONTROL_ACCESS_ADMITTER_H

#include "access/limits.h"
#include "flashrelay/admission.h"

struct admitter;

struct admitter_options {
    struct admission *admission;      /* its requests and control_event are filled in by admitter_create */
    struct limits *limits;            /* from here on only the admitter touches them */
    struct snapshot_group *snapshots; /* reader `reader` is the admitter */
    unsigned reader;
    const struct snapshot_slot *access; /* an access table */
};

/* What the options point to stays the caller's and outlives the admitter. 0 or a negative errno. */
int admitter_create(struct admitter **out, const struct admitter_options *options);

/* Starts the thread, once the relay has filled in who is to be answered. 0 or a negative errno. */
int admitter_start(struct admitter *admitter);

/* Ends the thread, if it runs: what is asked from here on stays unanswered. Before what asks is freed. */
void admitter_stop(struct admitter *admitter);

/* Stops, closes the event and frees. After the last thread that asks. */
void admitter_destroy(struct admitter *admitter);

#endif
