/* What the options say to the engine dpdk. */
#ifndef CONTROL_OPTIONS_DPDK_SETTINGS_H
#define CONTROL_OPTIONS_DPDK_SETTINGS_H

#include "options/options.h"

/* Checks that everything is set that the engine needs, and that it fits together. 0; -EINVAL: `error` names the flag and what was expected. */
int dpdk_settings_check(const struct options *options, char *error, size_t capacity);

/* The engine's settings of these options, whose texts they point to. */
struct engine_dpdk_options dpdk_settings_of(const struct options *options);

#endif
