/* What happened in a script so far, as text. One thread. */
#ifndef TESTS_TCP_SCRIPT_TRACE_H
#define TESTS_TCP_SCRIPT_TRACE_H

#include "tcp_script/script.h"
#include "tcp_script/stage.h"

#define TRACE_LINES      48
#define TRACE_LINE_BYTES 256

/* The last lines; all zero: empty. */
struct trace {
    char lines[TRACE_LINES][TRACE_LINE_BYTES];
    unsigned count; /* of all lines */
};

/* Adds a line with its time, in seconds since the script began. */
void trace_add(struct trace *trace, uint64_t since_start_ns, const char *text);
void trace_print(const struct trace *trace);

/* Write a step, or an event, as a script would; `text` has TRACE_LINE_BYTES. Return `text`. */
const char *trace_format_step(const struct script_step *step, char *text);
const char *trace_format_event(const struct stage_event *event, char *text);

#endif
