/* Faults in the settings that do not prevent the start: kept until the log is set up. */
#ifndef CONTROL_OPTIONS_WARNINGS_H
#define CONTROL_OPTIONS_WARNINGS_H

#include <stdio.h>

#define WARNINGS_KEPT  8
#define WARNINGS_BYTES 512 /* of one; longer ones are cut */

/* Begins zeroed. */
struct warnings {
    char *texts[WARNINGS_KEPT];
    unsigned count; /* of those in `texts` */
    unsigned more;  /* warnings that found no place there */
};

/* Makes one line of a text: control characters become question marks. */
void warnings_make_line(char *text);

/* Adds one line. Never pass secrets. */
void warnings_add(struct warnings *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs each warning in a line. */
void warnings_log(const struct warnings *warnings);

/* Prints each warning in a line, after the program's name, for a start that fails before the log is set up. */
void warnings_print(FILE *out, const struct warnings *warnings);

void warnings_dispose(struct warnings *warnings);

#endif
