/* Pairs: this program's figure beside that of another program, or of this one with other options, in turns. */
#ifndef PERF_BYPASS_RELAY_PAIRS_H
#define PERF_BYPASS_RELAY_PAIRS_H

#include <stddef.h>
#include <stdint.h>

/* Writes the path of a program in the folder of this one. Ends the program if it does not fit. */
void pairs_find_program(char *path, size_t capacity, const char *name);

/* Runs a command whose last line of output is a JSON object with the number `member`, and returns that. Ends the program if it fails. */
double pairs_run(const char *command, const char *member);

struct pairs_ratio {
    double median, least, greatest;
};

/* The ratios own[i] / other[i], at least one. */
struct pairs_ratio pairs_compare(const double *own, const double *other, uint64_t count);

#endif
