/* What the log says when the relay starts: the essentials in a line, and warnings about the system it finds. */
#ifndef CONTROL_START_REPORT_H
#define CONTROL_START_REPORT_H

#include "flashrelay/relay.h"
#include "options/options.h"

/* Raises the soft limit of file descriptors to the hard one and warns if it is too low for the connections allowed. */
void start_report_descriptors(const struct options *options);

/* Logs what runs where, once it does; `metrics_port` is 0 without metrics. */
void start_report_running(const struct options *options, const struct relay *relay, uint16_t metrics_port);

#endif
