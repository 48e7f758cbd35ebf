#include "options/options.h"

#include "access/keys.h"
#include "flashrelay/relay.h"
#include "flashrelay/ws_uri.h"
#include "options/defaults.h"
#include "options/dpdk_settings.h"
#include "options/types.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 64

/* Where a value comes from; a later source takes precedence. */
enum source { FROM_NO_SOURCE, FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct reader {
    struct options *options;
    const struct options_sources *sources;
    struct warnings *warnings;
    char *error;
    enum source sources_of[MAX_OPTIONS]; /* of each option's value, by index in the table */
    unsigned verbosity;                  /* times -v was seen */
    const struct option *last;           /* the flag read before, or NULL */
};

static enum options_outcome fail(const struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum options_outcome fail(const struct reader *reader, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reader->error, OPTIONS_ERROR_BYTES, format, arguments);
    va_end(arguments);
    warnings_make_line(reader->error);
    return OPTIONS_BAD;
}

/* "--flag value", "variable FLAG=value" or ".env: FLAG=value"; the value of a secret is left out. */
static void describe(char *text, size_t capacity, const struct option *option, enum source source, const char *value)
{
    char variable[OPTION_VARIABLE_BYTES];
    const char *name = option_variable(option, variable);
    const char *prefix = source == FROM_FILE ? ".env: " : "variable ";

    if (option->type->is_count && source == FROM_FLAG)
        snprintf(text, capacity, "--%s", option->name);
    else if (option->secret)
        snprintf(text, capacity, "%s%s", source == FROM_FLAG ? "--" : prefix, source == FROM_FLAG ? option->name : name);
    else if (source == FROM_FLAG || source == FROM_DEFAULT)
        snprintf(text, capacity, "--%s %.100s", option->name, *value ? value : "\"\"");
    else
        snprintf(text, capacity, "%s%s=%.100s", prefix, name, value);
}

static enum options_outcome read_value(struct reader *reader, const struct option *option, enum source source, const char *value)
{
    void *field = option->field == OPTION_NO_FIELD ? NULL : (char *)reader->options + option->field;
    char expected[OPTION_EXPECTED_BYTES] = "", given[192];
    int result = option->type->read(option, field, value, expected);

    if (result != 0)
        describe(given, sizeof given, option, source, value);
    if (result == -EINVAL && option->is_common_variable && source != FROM_FLAG) {
        warnings_add(reader->warnings, "%s is left out: %s", given, expected);
        return OPTIONS_RUN;
    }
    reader->sources_of[option - option_table] = source;
    if (result == 0)
        return OPTIONS_RUN;
    return fail(reader, "%s: %s", given, result == -ENOMEM ? "out of memory" : expected);
}

/* True if a stronger source has set the option, or another one that means the same. */
static bool is_overridden(const struct reader *reader, const struct option *option, enum source source)
{
    for (unsigned i = 0; i < option_table_count; i++)
        if (&option_table[i] == option || (option->field != OPTION_NO_FIELD && option_table[i].field == option->field))
            if (reader->sources_of[i] > source)
                return true;
    return false;
}

static const char *find_value(const struct reader *reader, const struct option *option, enum source source)
{
    char buffer[OPTION_VARIABLE_BYTES];
    const char *name = option_variable(option, buffer);

    if (source == FROM_ENVIRONMENT)
        return environment_find(reader->sources->environment, name, strlen(name));
    if (source == FROM_FILE)
        return reader->sources->file ? dotenv_find(reader->sources->file, name) : NULL;
    return option->initial;
}

static enum options_outcome read_source(struct reader *reader, enum source source)
{
    enum options_outcome outcome = OPTIONS_RUN;

    for (unsigned i = 0; i < option_table_count && outcome == OPTIONS_RUN; i++) {
        const struct option *option = &option_table[i];
        const char *value = is_overridden(reader, option, source) ? NULL : find_value(reader, option, source);

        if (value)
            outcome = read_value(reader, option, source, value);
    }
    return outcome;
}

/* Shows of an unknown flag only the characters that may be its name: the rest may be a secret whose flag is missing. */
static enum options_outcome fail_unknown(const struct reader *reader, const char *argument, size_t length)
{
    static const char name_characters[] = "-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t name_length = strspn(argument, name_characters), shown_length = name_length < length ? name_length : length;
    const char *nearest = option_nearest(argument + 2, shown_length - 2);
    int shown = (int)shown_length;

    if (nearest)
        return fail(reader, "%.*s: no such flag; did you mean --%s?", shown, argument, nearest);
    return fail(reader, "%.*s: no such flag; --help lists them", shown, argument);
}

static bool is_name(const char *name, const char *text, size_t length)
{
    return name && strlen(name) == length && memcmp(name, text, length) == 0;
}

static const struct option *find_option(const char *name, size_t length)
{
    for (unsigned i = 0; i < option_table_count; i++)
        if (is_name(option_table[i].name, name, length) || is_name(option_table[i].alias, name, length))
            return &option_table[i];
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (unsigned i = 0; i < option_table_count; i++)
        if (option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

/* A flag and its value, NULL for a flag alone. */
static enum options_outcome read_flag(struct reader *reader, const struct option *option, const char *value)
{
    char count[2] = "5";

    if (option->type->is_count) {
        if (value)
            return fail(reader, "--%s=%.100s: expected no value; repeat the flag instead", option->name, value);
        if (++reader->verbosity < 5)
            count[0] = (char)('0' + reader->verbosity);
        value = count;
    } else if (reader->sources_of[option - option_table] == FROM_FLAG && !option->type->is_list) {
        return fail(reader, "--%s: given twice; expected once", option->name);
    }
    return read_value(reader, option, FROM_FLAG, value ? value : "true");
}

static enum options_outcome read_letters(struct reader *reader, const char *argument)
{
    enum options_outcome outcome = OPTIONS_RUN;

    for (const char *letter = argument + 1; *letter && outcome == OPTIONS_RUN; letter++) {
        const struct option *option = find_letter(*letter);

        if (*letter == 'h')
            outcome = OPTIONS_HELP;
        else if (*letter == 'V')
            outcome = OPTIONS_VERSION;
        else if (option)
            outcome = read_flag(reader, option, NULL);
        else
            outcome = fail(reader, "-%c: no such flag; --help lists them", *letter);
        reader->last = option;
    }
    return outcome;
}

/* An argument that is no flag is not shown: it may be a secret, or the rest of one. */
static enum options_outcome fail_not_a_flag(const struct reader *reader, char *const *argument)
{
    const struct option *last = reader->last;
    long position = argument - reader->sources->arguments + 1;

    if (last && last->type->is_list)
        return fail(reader, "--%s: expected its values separated by commas, without blanks", last->name);
    if (last && last->type->is_switch)
        return fail(reader, "argument %ld: expected a flag, or --%s=true or --%s=false before it", position, last->name,
                    last->name);
    return fail(reader, "argument %ld: expected a flag; --help lists them", position);
}

/* One argument, and the next one if it is its value; *at moves behind what was read. */
static enum options_outcome read_argument(struct reader *reader, char *const **at)
{
    char *const *begin = *at;
    const char *argument = *(*at)++, *equals = strchr(argument, '='), *value = equals ? equals + 1 : NULL;
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    const struct option *option;

    if (argument[0] != '-' || argument[1] == '\0')
        return fail_not_a_flag(reader, begin);
    if (argument[1] != '-')
        return read_letters(reader, argument);
    if (is_name("--help", argument, length))
        return OPTIONS_HELP;
    if (is_name("--version", argument, length))
        return OPTIONS_VERSION;
    option = find_option(argument + 2, length - 2);
    if (!option)
        return fail_unknown(reader, argument, length);
    if (!value && !option->type->is_switch && !option->type->is_count) {
        value = **at;
        if (!value || (strncmp(value, "--", 2) == 0 && !option->type->is_arguments))
            return fail(reader, "--%s: expected a value: --%s %s", option->name, option->name, option->type->value_name);
        (*at)++;
    }
    reader->last = option;
    return read_flag(reader, option, value);
}

static enum options_outcome read_arguments(struct reader *reader)
{
    char *const *at = reader->sources->arguments;
    enum options_outcome outcome = OPTIONS_RUN;

    while (*at && outcome == OPTIONS_RUN)
        outcome = read_argument(reader, &at);
    return outcome;
}

/* Replaces an empty text by NULL. */
static void drop_empty(char **text)
{
    if (*text && **text == '\0') {
        free(*text);
        *text = NULL;
    }
}

/* Checks that each channel has room for at least two messages of the largest size. */
static enum options_outcome check_log_memory(const struct reader *reader)
{
    const struct options *options = reader->options;
    uint64_t needed = 2 * relay_channels_needed(options->enable_compression) * options->max_message_bytes;

    if (options->log_memory_bytes >= needed)
        return OPTIONS_RUN;
    return fail(
        reader, "--log-memory %" PRIu64 "%s: expected at least %s --max-message-bytes %" PRIu64 "%s, which is %" PRIu64,
        options->log_memory_bytes,
        options->log_memory_by_default && defaults_are_reduced(&options->machine) ? " (a quarter of the container's memory)" : "",
        options->enable_compression ? "four times" : "twice", options->max_message_bytes,
        options->enable_compression ? " with --enable-compression" : "", needed);
}

/* Checks what the engine dpdk needs, where it is chosen; says that it is not where something was set for it. */
static enum options_outcome check_dpdk(const struct reader *reader)
{
    const struct options *options = reader->options;
    char error[OPTIONS_ERROR_BYTES];

    if (strcmp(options->engine, "dpdk") == 0 || options->dpdk_check)
        return dpdk_settings_check(options, error, sizeof error) == 0 ? OPTIONS_RUN : fail(reader, "%s", error);
    if (options->dpdk_port)
        warnings_add(reader->warnings, "--dpdk-port has no effect without --engine dpdk");
    return OPTIONS_RUN;
}

static enum options_outcome complete(const struct reader *reader)
{
    struct options *options = reader->options;
    enum options_outcome outcome;

    drop_empty(&options->upstream_ca);
    drop_empty(&options->log_directory);
    drop_empty(&options->dpdk_port);
    drop_empty(&options->eal);
    defaults_choose(options, reader->sources->machine);
    outcome = check_dpdk(reader);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (options->upstreams.count == 0 && !options->dpdk_check)
        return fail(reader, "--upstream-ws: expected at least one URI, as in ws://builder:1111");
    return check_log_memory(reader);
}

enum options_outcome options_read(struct options *options, const struct options_sources *sources, struct warnings *warnings,
                                  char error[OPTIONS_ERROR_BYTES])
{
    struct reader reader = {.options = options, .sources = sources, .warnings = warnings, .error = error};
    enum options_outcome outcome;

    assert(option_table_count <= MAX_OPTIONS);
    *options = (struct options){0};
    outcome = read_arguments(&reader);
    for (enum source source = FROM_ENVIRONMENT; source > FROM_NO_SOURCE && outcome == OPTIONS_RUN; source--)
        outcome = read_source(&reader, source);
    return outcome == OPTIONS_RUN ? complete(&reader) : outcome;
}

void options_dispose(struct options *options)
{
    for (unsigned i = 0; i < options->upstreams.count; i++)
        ws_uri_dispose(&options->upstreams.uris[i]);
    free(options->upstreams.uris);
    free(options->upstream_ca);
    keys_dispose(&options->api_keys);
    free(options->ip_addr_http_header);
    free(options->metrics_global_labels);
    free(options->log_directory);
    free(options->cpu_list.cores);
    free(options->dpdk_port);
    free(options->eal);
    *options = (struct options){0};
}
