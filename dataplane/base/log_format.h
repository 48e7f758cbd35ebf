/* A line of the log as bytes: text, JSON or logfmt. */
#ifndef DATAPLANE_BASE_LOG_FORMAT_H
#define DATAPLANE_BASE_LOG_FORMAT_H

#include "flashrelay/log.h"

#include <stddef.h>

/* With this a message fits a line, and that a page of a pipe, even if all of it is escaped: one write takes all of it or nothing. */
#define LOG_MESSAGE_BYTES 640
#define LOG_LINE_BYTES    4096

struct log_message {
    uint64_t time_ns; /* since 1970 */
    enum log_level level;
    const char *module;
    const char *text; /* below LOG_MESSAGE_BYTES */
};

/* Writes the message as one line, with its newline, whatever it holds; `out` has LOG_LINE_BYTES. Its length. */
size_t log_format_line(char *out, enum log_format format, const struct log_message *message);

#endif
