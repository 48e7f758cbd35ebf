/* An end of the wire: a tap interface that it makes, or an interface that exists. One thread. */
#ifndef TESTS_WIRE_END_H
#define TESTS_WIRE_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct end {
    const char *name; /* as it was given */
    int descriptor;
    bool is_gone;     /* its interface was removed */
    uint64_t refused; /* frames that the interface did not take */
};

/* Opens "tap:NAME", which exists as long as the end is open, or the interface "NAME". Ends the program with one line if it cannot. */
void end_open(struct end *end, const char *name);
void end_close(struct end *end);

/*
 * Reads a frame of at most `capacity` bytes; `bytes` has room for one more. Its length; 0: there is none; more than `capacity`: it is longer,
 * and the rest is lost.
 */
size_t end_read(struct end *end, uint8_t *bytes, size_t capacity);
/* Writes a frame, or counts that the interface did not take it. */
void end_write(struct end *end, const uint8_t *bytes, size_t length);

#endif
