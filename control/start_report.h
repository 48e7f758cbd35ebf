/* What the log says when the relay starts: the essentials in a line, and warnings about the system it finds. */
#ifndef CONTROL_START_REPORT_H
#define CONTROL_START_REPORT_H

#include "descriptors.h"
#include "flashrelay/relay.h"
#include "options/options.h"

/* Logs what runs where, once it does; `metrics_port` is 0 without metrics. */
void start_report_running(const struct options *options, const struct relay *relay, uint16_t metrics_port);

/* Logs what of the descriptors is reserved, and warns if the room that is left is too small for the connections allowed. */
void start_report_descriptors(const struct options *options, const struct descriptor_plan *plan, unsigned room);

#endif
