/* The table of options, from which values are read, checked and explained. */
#ifndef CONTROL_OPTIONS_TABLE_H
#define CONTROL_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The field of an option that sets nothing. */
#define OPTION_NO_FIELD SIZE_MAX

struct option_type;

struct option {
    const char *group;    /* heading in the help; NULL: as the option before */
    const char *name;     /* of the flag, without -- */
    const char *alias;    /* another name of it, or NULL */
    char letter;          /* or 0 */
    const char *variable; /* NULL: the name in capitals, with _ for - and . */
    const struct option_type *type;
    size_t field;              /* offset in struct options */
    uint64_t minimum, maximum; /* of numbers */
    const char *initial;       /* default as text, or NULL: the field stays zero */
    const char *default_note;  /* in the help instead of `initial`, where that is NULL */
    const char *meaning;
    const char *bound_reason; /* why numbers outside minimum and maximum are refused, where that is not plain; or NULL */
    bool secret;              /* values are never shown */
    bool is_common_variable;  /* other programs use its variable too: a bad value there only causes a warning */
};

extern const struct option option_table[];
extern const unsigned option_table_count;

#define OPTION_VARIABLE_BYTES 64

/* The name most like `name` of `length` letters, or NULL if none is. */
const char *option_nearest(const char *name, size_t length);

/* Returns the name of the option's environment variable, which may lie in `text`, of OPTION_VARIABLE_BYTES. */
const char *option_variable(const struct option *option, char *text);

#endif
