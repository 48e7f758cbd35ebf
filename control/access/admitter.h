/* The control thread that answers what shards ask: may this connection take a place? */
#ifndef CONTROL_ACCESS_ADMITTER_H
#define CONTROL_ACCESS_ADMITTER_H

#include "access/limits.h"
#include "flashrelay/admission.h"

struct admitter;

/*
 * Initializes `admission->requests` and `admission->control_event`. `admission` and `limits` stay the caller's and outlive the
 * admitter; from here on only the admitter touches `limits`. 0 or a negative errno.
 */
int admitter_create(struct admitter **out, struct admission *admission, struct limits *limits);

/* Starts the thread, once the relay has filled in who is to be answered. 0 or a negative errno. */
int admitter_start(struct admitter *admitter);

/* Ends the thread, if it runs: what is asked from here on stays unanswered. Before what asks is freed. */
void admitter_stop(struct admitter *admitter);

/* Stops, closes the event and frees. After the last thread that asks. */
void admitter_destroy(struct admitter *admitter);

#endif
