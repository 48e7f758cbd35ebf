/* The log lines of a start: what runs with which settings, and warnings about the system. */
#ifndef CONTROL_START_REPORT_H
#define CONTROL_START_REPORT_H

#include "descriptors.h"
#include "flashrelay/relay.h"
#include "options/options.h"

/* Logs what runs, where and with which settings, once it runs; `metrics_port` is 0 without metrics. */
void start_report_running(const struct options *options, const struct relay *relay, uint16_t metrics_port);

/* Logs how the descriptors are shared out, and warns if that leaves fewer subscribers than --instance-connection-limit allows. */
void start_report_descriptors(const struct options *options, const struct descriptor_plan *plan,
                              const struct descriptor_share *share);

#endif
