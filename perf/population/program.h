/* What the programs that measure with a population have in common. */
#ifndef PERF_POPULATION_PROGRAM_H
#define PERF_POPULATION_PROGRAM_H

#include "common/command_line.h"

#include <stdbool.h>
#include <stdint.h>

/* The default of an option for the CPU. */
#define PROGRAM_FIRST_CPU UINT64_MAX

struct program_eal {
    const char *program;
    uint64_t cpu;             /* to run on; PROGRAM_FIRST_CPU: the first that is allowed */
    bool huge;                /* memory of the system's pool of huge pages */
    unsigned plain_mebibytes; /* how much memory there is without them */
};

/* Starts EAL, which binds the calling thread to the CPU. Ends the program if it does not start. */
void program_start_eal(const struct program_eal *options);

/* Parses the value of --acks, as population_options.acks has it. Ends the program if it is wrong. */
unsigned program_parse_acks(const struct command_line *line, const char *text);

/* The median of `count` values, at least one; sorts them. */
double program_median(double *values, uint64_t count);

#endif
