/* The demo's output: a line per second, and a summary. */
#ifndef TOOLS_DEMO_REPORT_H
#define TOOLS_DEMO_REPORT_H

#include "common/rig.h"

struct report {
    struct rig *rig;
    uint32_t subscribers;
    bool on_terminal; /* each line overwrites the one before */
    uint64_t started_ns, second_ns;
    struct rig_figures at_start, at_second; /* when publishing began; when the last line was made */
    uint64_t deliveries_at_second;
    uint64_t next_sequence;         /* the oldest flashblock that not every subscriber had when the last line was made */
    struct histogram latency, last; /* of the whole run: every delivery; the last subscriber of each flashblock */
};

/* Prints the heading. Publishing is about to begin. */
void report_begin(struct report *report, struct rig *rig, uint32_t subscribers);

/* Prints a line about the time since the last line. */
void report_line(struct report *report);

/* Prints the sums of the whole run, after rig_settle. True if every subscriber got everything. */
bool report_summary(struct report *report);

#endif
