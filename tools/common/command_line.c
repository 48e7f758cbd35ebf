#include "common/command_line.h"

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

void command_line_fail(const struct command_line *line, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", line->program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static void print_help(const struct command_line *line)
{
    printf("Usage: %s %s\n%s\n\nOptions:\n", line->program, line->usage, line->summary);
    for (size_t i = 0; i < line->option_count; i++) {
        const struct command_option *option = &line->options[i];
        char left[48];

        snprintf(left, sizeof left, "%s %s", option->name, option->argument ? option->argument : "");
        printf("  %-28s %s\n", left, option->help);
    }
    printf("  %-28s %s\n", "--help", "print this and exit");
}

/* A decimal number followed by one of the units. */
static bool parse_with_unit(const char *text, const struct unit *units, double *value)
{
    char *end;

    if (strspn(text, "0123456789.") == 0 || (text[1] | 0x20) == 'x')
        return false; /* what strtod would take besides: signs, blanks, words, hexadecimal numbers */
    *value = strtod(text, &end);
    for (; units->name; units++) {
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

static bool is_in_range(const struct command_option *option, uint64_t value)
{
    return value >= option->minimum && (option->maximum == 0 || value <= option->maximum);
}

static bool store_scaled(const struct command_option *option, const char *text, const struct unit *units)
{
    double value;

    if (!parse_with_unit(text, units, &value) || value >= 0x1p63 || !is_in_range(option, (uint64_t)llround(value)))
        return false;
    *(uint64_t *)option->value = (uint64_t)llround(value);
    return true;
}

static bool store_share(const struct command_option *option, const char *text)
{
    double value;

    if (!parse_with_unit(text, share_units, &value) || value > 1)
        return false;
    *(double *)option->value = value;
    return true;
}

static bool store_number(const struct command_option *option, const char *text)
{
    uint64_t value;

    if (!parse_whole_number(text, &value) || !is_in_range(option, value))
        return false;
    *(uint64_t *)option->value = value;
    return true;
}

static bool store_text(const struct command_option *option, const char *text)
{
    struct option_texts *texts = option->value;

    if (texts->count == OPTION_VALUES_MAX)
        return false;
    texts->values[texts->count++] = text;
    return true;
}

static bool store_value(const struct command_option *option, const char *text);

/* Stores items of `kind` with commas between. If the option is given several times, the last list replaces those before. */
static bool store_list(const struct command_option *option, enum option_kind kind, const char *text)
{
    struct option_values *list = option->value, parsed = {.count = 0};
    char item_text[32];

    for (;;) {
        size_t length = strcspn(text, ",");
        if (length >= sizeof item_text || parsed.count == OPTION_VALUES_MAX)
            return false;
        memcpy(item_text, text, length);
        item_text[length] = '\0';
        struct command_option item = *option;
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

static bool store_value(const struct command_option *option, const char *text)
{
    switch (option->kind) {
    case OPTION_SWITCH:
        *(bool *)option->value = true;
        return true;
    case OPTION_TEXT:
        *(const char **)option->value = text;
        return true;
    case OPTION_NUMBER:
        return store_number(option, text);
    case OPTION_BYTES:
        return store_scaled(option, text, byte_units);
    case OPTION_DURATION:
        return store_scaled(option, text, duration_units);
    case OPTION_SHARE:
        return store_share(option, text);
    case OPTION_ADDRESS:
        return address_parse(option->value, text) == 0;
    case OPTION_TEXTS:
        return store_text(option, text);
    case OPTION_NUMBER_LIST:
        return store_list(option, OPTION_NUMBER, text);
    case OPTION_BYTES_LIST:
        return store_list(option, OPTION_BYTES, text);
    case OPTION_DURATION_LIST:
        return store_list(option, OPTION_DURATION, text);
    }
    return false;
}

/* Describes the values that an option accepts, for the message about a bad value. */
static const char *expectation(const struct command_option *option, char *text, size_t capacity)
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
    const char *unit = option->kind == OPTION_DURATION || option->kind == OPTION_DURATION_LIST ? " ns" : "";

    if (option->maximum != 0)
        snprintf(text, capacity, "%s, from %llu to %llu%s", forms[option->kind], (unsigned long long)option->minimum,
                 (unsigned long long)option->maximum, unit);
    else if (option->minimum != 0)
        snprintf(text, capacity, "%s, at least %llu%s", forms[option->kind], (unsigned long long)option->minimum, unit);
    else
        snprintf(text, capacity, "%s", forms[option->kind]);
    return text;
}

static const struct command_option *find_option(const struct command_line *line, const char *name, size_t length)
{
    for (size_t i = 0; i < line->option_count; i++) {
        const struct command_option *option = &line->options[i];

        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

/* Takes the option at argv[0] and its value; returns how many arguments they take up. */
static int take_option(const struct command_line *line, int argc, char **argv)
{
    size_t length = strcspn(argv[0], "=");
    const char *value = argv[0][length] == '=' ? argv[0] + length + 1 : NULL;
    const struct command_option *option = find_option(line, argv[0], length);
    char expected[128];
    int taken = 1;

    if (strcmp(argv[0], "--help") == 0) {
        print_help(line);
        exit(0);
    }
    if (!option)
        command_line_fail(line, "unknown option %.*s (--help lists them)", (int)length, argv[0]);
    expectation(option, expected, sizeof expected);
    if (option->kind == OPTION_SWITCH && value)
        command_line_fail(line, "%s: got '%s', expected %s", option->name, value, expected);
    if (option->kind != OPTION_SWITCH && !value) {
        if (argc < 2)
            command_line_fail(line, "%s: value missing, expected %s", option->name, expected);
        value = argv[1];
        taken = 2;
    }
    if (!store_value(option, value))
        command_line_fail(line, "%s: got '%s', expected %s", option->name, value, expected);
    return taken;
}

void command_line_parse(const struct command_line *line, int argc, char **argv)
{
    size_t operands = 0;
    bool only_operands = false;

    for (int i = 1; i < argc;) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
            i++;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            i += take_option(line, argc - i, argv + i);
        } else {
            if (operands == line->operands_maximum) /* the argument is not printed: it may be a URI with a key */
                command_line_fail(line, "argument %d: expected no more (usage: %s %s)", i, line->program, line->usage);
            line->operands[operands++] = argv[i++];
        }
    }
    if (operands < line->operands_minimum)
        command_line_fail(line, "argument missing (usage: %s %s)", line->program, line->usage);
}
