/* A log file that is rotated by the clock. log.h writes lines to a descriptor; a rotation replaces the file behind it. */
#ifndef CONTROL_LOG_FILE_H
#define CONTROL_LOG_FILE_H

#include "options/options.h"

#include <stdint.h>

struct log_file {
    const char *directory; /* the caller's */
    enum log_rotation rotation;
    int descriptor;
    uint64_t period; /* the current one, counted from 1970 in lengths of the rotation */
};

/*
 * Opens flashrelay.log in `directory`, which is made if it is missing; with a rotation the period's beginning (UTC) is added to
 * the name, as in flashrelay.log.2026-01-31-23. Times are ns since 1970. 0 or a negative errno.
 */
int log_file_open(struct log_file *file, const char *directory, enum log_rotation rotation, uint64_t now_ns);

/* Begins a new file if a new period has begun. Returns when the next one begins (ns since 1970), or CLOCK_NEVER. One thread. */
uint64_t log_file_rotate(struct log_file *file, uint64_t now_ns);

void log_file_close(struct log_file *file);

#endif
