#include "common/options.h"

#include "flashrelay/address.h"
#include "flashrelay/clock.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit byte_units[] = {{"", 1},    {"k", 1e3},   {"kB", 1e3},     {"M", 1e6},           {"MB", 1e6},
                                         {"G", 1e9}, {"Ki", 1024}, {"Mi", 1048576}, {"Gi", 1073741824.0}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"", (double)NS_PER_MS},      {"ns", 1}, {"us", (double)NS_PER_US}, {"ms", (double)NS_PER_MS}, {"s", (double)NS_PER_S},
    {"m", 60 * (double)NS_PER_S}, {NULL, 0}};
static const struct unit share_units[] = {{"", 1}, {"%", 0.01}, {NULL, 0}};

void options_fail(const struct options *options, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", options->program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static void print_help(const struct options *options)
{
    printf("Usage: %s %s\n%s\n\nOptions:\n", options->program, options->usage, options->summary);
    for (size_t i = 0; i < options->entry_count; i++) {
        const struct option_entry *entry = &options->entries[i];
        char left[48];

        snprintf(left, sizeof left, "%s %s", entry->name, entry->argument != NULL ? entry->argument : "");
        printf("  %-28s %s\n", left, entry->help);
    }
    printf("  %-28s %s\n", "--help", "print this and exit");
}

/* A decimal number followed by one of the units. */
static bool parse_with_unit(const char *text, const struct unit *units, double *value)
{
    char *end;

    if (strspn(text, "0123456789.") == 0)
        return false;
    *value = strtod(text, &end);
    for (; units->name != NULL; units++) {
        if (strcmp(end, units->name) == 0) {
            *value *= units->factor;
            return true;
        }
    }
    return false;
}

static bool parse_whole_number(const char *text, uint64_t *value)
{
    char *end;

    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0;
}

static bool is_in_range(const struct option_entry *entry, uint64_t value)
{
    return value >= entry->minimum && (entry->maximum == 0 || value <= entry->maximum);
}

static bool store_scaled(const struct option_entry *entry, const char *text, const struct unit *units)
{
    double value;

    if (!parse_with_unit(text, units, &value) || value >= 0x1p63 || !is_in_range(entry, (uint64_t)llround(value)))
        return false;
    *(uint64_t *)entry->value = (uint64_t)llround(value);
    return true;
}

static bool store_share(const struct option_entry *entry, const char *text)
{
    double value;

    if (!parse_with_unit(text, share_units, &value) || value > 1)
        return false;
    *(double *)entry->value = value;
    return true;
}

static bool store_number(const struct option_entry *entry, const char *text)
{
    uint64_t value;

    if (!parse_whole_number(text, &value) || !is_in_range(entry, value))
        return false;
    *(uint64_t *)entry->value = value;
    return true;
}

static bool store_text(const struct option_entry *entry, const char *text)
{
    struct option_texts *texts = entry->value;

    if (texts->count == OPTION_VALUES_MAX)
        return false;
    texts->values[texts->count++] = text;
    return true;
}

static bool store_value(const struct option_entry *entry, const char *text);

/* Items of `kind` with commas between; the last option given replaces the ones before. */
static bool store_list(const struct option_entry *entry, enum option_kind kind, const char *text)
{
    struct option_values *list = entry->value, parsed = {.count = 0};
    char item_text[32];

    for (;;) {
        size_t length = strcspn(text, ",");
        if (length >= sizeof item_text || parsed.count == OPTION_VALUES_MAX)
            return false;
        memcpy(item_text, text, length);
        item_text[length] = '\0';
        struct option_entry item = *entry;
        item.kind = kind;
        item.value = &parsed.values[parsed.count++];
        if (!store_value(&item, item_text))
            return false;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *list = parsed;
    return true;
}

static bool store_value(const struct option_entry *entry, const char *text)
{
    switch (entry->kind) {
    case OPTION_SWITCH:
        *(bool *)entry->value = true;
        return true;
    case OPTION_TEXT:
        *(const char **)entry->value = text;
        return true;
    case OPTION_NUMBER:
        return store_number(entry, text);
    case OPTION_BYTES:
        return store_scaled(entry, text, byte_units);
    case OPTION_DURATION:
        return store_scaled(entry, text, duration_units);
    case OPTION_SHARE:
        return store_share(entry, text);
    case OPTION_ADDRESS:
        return address_parse(entry->value, text) == 0;
    case OPTION_TEXTS:
        return store_text(entry, text);
    case OPTION_NUMBER_LIST:
        return store_list(entry, OPTION_NUMBER, text);
    case OPTION_BYTES_LIST:
        return store_list(entry, OPTION_BYTES, text);
    case OPTION_DURATION_LIST:
        return store_list(entry, OPTION_DURATION, text);
    }
    return false;
}

/* What an option wants, for the message about what it got. */
static const char *expectation(const struct option_entry *entry, char *text, size_t capacity)
{
    static const char *const forms[] = {
        [OPTION_SWITCH] = "no value",
        [OPTION_TEXT] = "a text",
        [OPTION_NUMBER] = "a whole number",
        [OPTION_BYTES] = "bytes such as 25000, 25k or 2M",
        [OPTION_DURATION] = "a duration such as 200 (ms), 50us, 200ms or 2s",
        [OPTION_SHARE] = "a share from 0 to 1 such as 0.01 or 1%",
        [OPTION_ADDRESS] = "IP:PORT such as 127.0.0.1:1111 or [::1]:1111",
        [OPTION_TEXTS] = "a text, at most 16 times",
        [OPTION_NUMBER_LIST] = "at most 16 whole numbers such as 1000,5000",
        [OPTION_BYTES_LIST] = "at most 16 sizes such as 4k,25k",
        [OPTION_DURATION_LIST] = "at most 16 durations such as 200ms,400ms",
    };
    const char *unit = entry->kind == OPTION_DURATION || entry->kind == OPTION_DURATION_LIST ? " ns" : "";

    if (entry->maximum != 0)
        snprintf(text, capacity, "%s, from %llu to %llu%s", forms[entry->kind], (unsigned long long)entry->minimum,
                 (unsigned long long)entry->maximum, unit);
    else if (entry->minimum != 0)
        snprintf(text, capacity, "%s, at least %llu%s", forms[entry->kind], (unsigned long long)entry->minimum, unit);
    else
        snprintf(text, capacity, "%s", forms[entry->kind]);
    return text;
}

static const struct option_entry *find_entry(const struct options *options, const char *name, size_t length)
{
    for (size_t i = 0; i < options->entry_count; i++) {
        const struct option_entry *entry = &options->entries[i];

        if (strlen(entry->name) == length && memcmp(entry->name, name, length) == 0)
            return entry;
    }
    return NULL;
}

/* Takes the option at argv[0], and its value; returns how many arguments that were. */
static int take_option(const struct options *options, int argc, char **argv)
{
    size_t length = strcspn(argv[0], "=");
    const char *value = argv[0][length] == '=' ? argv[0] + length + 1 : NULL;
    const struct option_entry *entry = find_entry(options, argv[0], length);
    char expected[128];
    int taken = 1;

    if (strcmp(argv[0], "--help") == 0) {
        print_help(options);
        exit(0);
    }
    if (entry == NULL)
        options_fail(options, "unknown option %.*s (--help lists them)", (int)length, argv[0]);
    expectation(entry, expected, sizeof expected);
    if (entry->kind == OPTION_SWITCH && value != NULL)
        options_fail(options, "%s: got '%s', expected %s", entry->name, value, expected);
    if (entry->kind != OPTION_SWITCH && value == NULL) {
        if (argc < 2)
            options_fail(options, "%s: value missing, expected %s", entry->name, expected);
        value = argv[1];
        taken = 2;
    }
    if (!store_value(entry, value))
        options_fail(options, "%s: got '%s', expected %s", entry->name, value, expected);
    return taken;
}

void options_parse(const struct options *options, int argc, char **argv)
{
    size_t operands = 0;
    bool only_operands = false;

    for (int i = 1; i < argc;) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
            i++;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            i += take_option(options, argc - i, argv + i);
        } else {
            if (operands == options->operands_maximum)
                options_fail(options, "unexpected argument '%s' (usage: %s %s)", argv[i], options->program, options->usage);
            options->operands[operands++] = argv[i++];
        }
    }
    if (operands < options->operands_minimum)
        options_fail(options, "argument missing (usage: %s %s)", options->program, options->usage);
}
