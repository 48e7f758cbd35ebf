/* What the options say to the ingest of a relay. */
#ifndef CONTROL_INGEST_SETTINGS_H
#define CONTROL_INGEST_SETTINGS_H

#include "flashrelay/ingest.h"
#include "options/options.h"

/*
 * The ingest's settings of these options, whose texts they point to. The seed, and the secret of the identities by which copies of a message
 * are recognised, are drawn from the system anew by each call. What belongs to the parts of a relay (its channel, threads ...) is not set.
 */
struct ingest_options ingest_settings_of(const struct options *options);

#endif
