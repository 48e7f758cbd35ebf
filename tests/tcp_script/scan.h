/* Reads the words and numbers of one line of a script. One thread. */
#ifndef TESTS_TCP_SCRIPT_SCAN_H
#define TESTS_TCP_SCRIPT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

struct scan {
    const char *at; /* what is not read yet, with a terminator */
};

/* True if nothing but blanks is left. */
bool scan_is_at_end(struct scan *scan);
/* Reads `text`, which is not the beginning of a longer word. False, and nothing is read, if something else comes. */
bool scan_word(struct scan *scan, const char *text);
/* Reads one character. False, and nothing is read, if another one comes. */
bool scan_mark(struct scan *scan, char mark);
/* Reads a decimal number up to `maximum`. */
bool scan_number(struct scan *scan, uint64_t *number, uint64_t maximum);
/* Reads seconds, as "1", "0.2" or ".000001", as ns. */
bool scan_seconds(struct scan *scan, uint64_t *ns);

#endif
