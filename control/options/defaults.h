/* Defaults that depend on the machine and on other options. */
#ifndef CONTROL_OPTIONS_DEFAULTS_H
#define CONTROL_OPTIONS_DEFAULTS_H

#include "options/options.h"

/* Chooses what is still 0 of shards, log_memory_bytes and max_message_bytes, and keeps note of what was chosen for which machine. */
void defaults_choose(struct options *options, const struct machine *machine);

/* True if the log gets less than usual, because that would be more than a quarter of the memory that the container has. */
bool defaults_are_reduced(const struct machine *machine);

#endif
