/* Defaults that depend on the machine and on other options. */
#ifndef CONTROL_OPTIONS_DEFAULTS_H
#define CONTROL_OPTIONS_DEFAULTS_H

#include "options/options.h"

/* Chooses shards, log_memory_bytes and max_message_bytes where they are 0, and notes in `options` the machine and which were chosen. */
void defaults_choose(struct options *options, const struct machine *machine);

/* True if the default log memory is reduced, because the usual one would be more than a quarter of the container's memory. */
bool defaults_are_reduced(const struct machine *machine);

#endif
