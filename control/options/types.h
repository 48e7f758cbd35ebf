/* How texts become values: one type for each kind of option. */
#ifndef CONTROL_OPTIONS_TYPES_H
#define CONTROL_OPTIONS_TYPES_H

#include "options/table.h"

#define OPTION_EXPECTED_BYTES 256

struct option_type {
    const char *value_name; /* in the help: --flag VALUE_NAME; NULL: none */
    bool is_switch;         /* the flag alone means true */
    bool is_count;          /* the flag takes no value and counts */
    bool is_list;           /* the flag may be given again, adding to what it has */
    bool is_arguments;      /* the value may begin with "--", as a flag does */
    /* Reads `text` into the field. 0; -EINVAL, with what was expected or what is wrong in `expected`; or -ENOMEM. */
    int (*read)(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES]);
};

extern const struct option_type option_switch, option_number, option_bytes, option_address, option_file, option_directory,
    option_labels, option_header_name, option_uris, option_keys, option_level, option_verbosity, option_log_format,
    option_rotation, option_engine, option_zerocopy, option_cores, option_port, option_networks, option_ips, option_offload,
    option_words, option_refused, option_unused;

#endif
