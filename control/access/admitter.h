/* The control thread that answers the shards' requests for admission (flashrelay/admission.h): may this connection take a place? */
#ifndef CONTROL_ACCESS_ADMITTER_H
#define CONTROL_ACCESS_ADMITTER_H

#include "access/limits.h"
#include "flashrelay/admission.h"

struct admitter;

struct admitter_options {
    struct admission *admission;      /* its requests and control_event are filled in by admitter_create */
    struct limits *limits;            /* only the admitter uses them from admitter_create on */
    struct snapshot_group *snapshots; /* reader `reader` is the admitter */
    unsigned reader;
    const struct snapshot_slot *access; /* an access table */
};

/* What the options point to stays the caller's and outlives the admitter. 0 or a negative errno. */
int admitter_create(struct admitter **out, const struct admitter_options *options);

/* Starts the thread. The relay must have filled in `answers` and `shard_wakers` of the admission before. 0 or a negative errno. */
int admitter_start(struct admitter *admitter);

/* Ends the thread, if it runs: later requests stay unanswered. To be called before the shards, whose subscribers hold the requests, are freed. */
void admitter_stop(struct admitter *admitter);

/* Stops the thread, closes the event and frees the admitter. To be called after the last thread that sends requests has ended. */
void admitter_destroy(struct admitter *admitter);

#endif
