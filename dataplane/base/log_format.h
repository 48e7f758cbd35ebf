/* A line of the log as bytes: text, JSON or logfmt. */
#ifndef DATAPLANE_BASE_LOG_FORMAT_H
#define DATAPLANE_BASE_LOG_FORMAT_H

#include "flashrelay/log.h"

#include <stddef.h>

/* A message fits into a line even if all of it is escaped, and a line into a page of a pipe: one write takes all of it or nothing. */
#define LOG_MESSAGE_BYTES 640
#define LOG_LINE_BYTES    4096

struct log_message {
    uint64_t time_ns; /* since 1970 */
    enum log_level level;
    const char *module;
    const char *text; /* below LOG_MESSAGE_BYTES */
};

/* Writes any message as one line with a newline; `out` has LOG_LINE_BYTES. Returns the line's length. */
size_t log_format_line(char *out, enum log_format format, const struct log_message *message);

#endif
