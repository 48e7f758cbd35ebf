/* Command lines of the tools: a table of options, parsed in one go. */
#ifndef TOOLS_COMMON_COMMAND_LINE_H
#define TOOLS_COMMON_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_SWITCH,   /* bool: present or not */
    OPTION_TEXT,     /* const char * */
    OPTION_NUMBER,   /* uint64_t within minimum..maximum */
    OPTION_BYTES,    /* uint64_t: 25000, 25k, 2M, 1Ki, 1Mi */
    OPTION_DURATION, /* uint64_t in ns: 200 (ms), 50us, 200ms, 2s, 1m */
    OPTION_SHARE,    /* double from 0 to 1: 0.01 or 1% */
    OPTION_ADDRESS,  /* struct address: 127.0.0.1:1111, [::1]:1111 */
    OPTION_TEXTS,    /* struct option_texts: may be given several times */
    /* struct option_values: several of the above, with commas between */
    OPTION_NUMBER_LIST,
    OPTION_BYTES_LIST,
    OPTION_DURATION_LIST,
};

#define OPTION_VALUES_MAX 16

struct option_texts {
    const char *values[OPTION_VALUES_MAX];
    size_t count;
};

struct option_values {
    uint64_t values[OPTION_VALUES_MAX];
    size_t count;
};

struct command_option {
    const char *name;     /* "--interval" */
    const char *argument; /* the argument's name in the help; NULL for a switch */
    const char *help;     /* one line, the default included */
    enum option_kind kind;
    void *value;               /* where the parsed value is stored; holds the default before */
    uint64_t minimum, maximum; /* of numbers, bytes and durations; maximum 0: unlimited */
};

struct command_line {
    const char *program;
    const char *usage;   /* "[OPTION]... URI" */
    const char *summary; /* what the program does, whole lines */
    const struct command_option *options;
    size_t option_count;
    const char **operands; /* where the arguments that are not options are stored */
    size_t operands_minimum, operands_maximum;
};

/*
 * Parses argv: `--name value`, `--name=value`, `--` ends the options. --help prints the table and exits with 0; anything wrong prints
 * one line that names the option, the value and what was expected, and exits with 2.
 */
void command_line_parse(const struct command_line *line, int argc, char **argv);

/* Prints "program: message" and exits with 2: for errors that only the program itself can detect. */
void command_line_fail(const struct command_line *line, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
