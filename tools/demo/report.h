/* The demo's output: a line per second, and a summary. */
#ifndef TOOLS_DEMO_REPORT_H
#define TOOLS_DEMO_REPORT_H

#include "common/rig.h"
#include "flashrelay/address.h"

/* What the relay's own TCP has done since it started; nothing is known of the kernel's. */
struct tcp_figures {
    bool known;
    double segments, retransmitted;
};

struct report {
    struct rig *rig;
    const struct address *metrics; /* of the relay; NULL: it has no TCP of its own */
    uint32_t subscribers;
    bool on_terminal; /* each line overwrites the one before */
    uint64_t started_ns, second_ns;
    struct rig_figures at_start, at_second; /* when publishing began; when the last line was made */
    uint64_t deliveries_at_second;
    struct tcp_figures tcp_at_start, tcp_at_second;
    uint64_t next_sequence;         /* the oldest flashblock that not every subscriber had when the last line was made */
    struct histogram latency, last; /* of the whole run: every delivery; the last subscriber of each flashblock */
};

/* Prints the heading. Publishing is about to begin. `metrics` outlives the report. */
void report_begin(struct report *report, struct rig *rig, uint32_t subscribers, const struct address *metrics);

/* Prints a line about the time since the last line. */
void report_line(struct report *report);

/* Prints the sums of the whole run, after rig_settle. True if every subscriber got everything. */
bool report_summary(struct report *report);

#endif
