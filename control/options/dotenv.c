#include "options/dotenv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct dotenv *dotenv;
    char *const *environment;
    const char *at, *end;
    unsigned line;
    const char *error; /* what was expected, static; if set, the line is left out */
};

void dotenv_dispose(struct dotenv *dotenv)
{
    for (unsigned i = 0; i < dotenv->count; i++) {
        free(dotenv->entries[i].name);
        free(dotenv->entries[i].value);
    }
    free(dotenv->entries);
    *dotenv = (struct dotenv){0};
}

const char *environment_find(char *const *environment, const char *name, size_t name_length)
{
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, name_length) == 0 && (*environment)[name_length] == '=')
            return *environment + name_length + 1;
    return NULL;
}

static const char *find(const struct dotenv *dotenv, const char *name, size_t length)
{
    for (unsigned i = 0; i < dotenv->count; i++)
        if (strncmp(dotenv->entries[i].name, name, length) == 0 && dotenv->entries[i].name[length] == '\0')
            return dotenv->entries[i].value;
    return NULL;
}

const char *dotenv_find(const struct dotenv *dotenv, const char *name)
{
    return find(dotenv, name, strlen(name));
}

static bool is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The current character, or a newline at the end of the text. */
static char peek(const struct parser *parser)
{
    return parser->at < parser->end ? *parser->at : '\n';
}

static char take(struct parser *parser)
{
    char c = *parser->at++;

    parser->line += c == '\n';
    return c;
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && is_blank(*parser->at))
        parser->at++;
}

static void skip_comment(struct parser *parser)
{
    if (peek(parser) == '#')
        while (peek(parser) != '\n')
            parser->at++;
}

static size_t name_length(const struct parser *parser)
{
    const char *at = parser->at;

    if (at < parser->end && is_name_start(*at))
        while (at < parser->end && (is_name(*at) || *at == '.'))
            at++;
    return (size_t)(at - parser->at);
}

/* After a `$`: writes the value of the name that follows; a `$` without a name stands for itself. */
static void substitute(struct parser *parser, FILE *value)
{
    bool braces = peek(parser) == '{';
    const char *name, *known;
    size_t length;

    parser->at += braces;
    name = parser->at;
    if (parser->at < parser->end && is_name_start(*parser->at))
        while (parser->at < parser->end && is_name(*parser->at))
            parser->at++;
    length = (size_t)(parser->at - name);
    if (braces && (length == 0 || peek(parser) != '}')) {
        parser->error = "expected ${NAME}";
        return;
    }
    parser->at += braces;
    if (length == 0) {
        fputc('$', value);
        return;
    }
    known = environment_find(parser->environment, name, length);
    if (!known)
        known = find(parser->dotenv, name, length);
    if (known)
        fputs(known, value);
}

/* After a backslash: writes the character that the next one stands for. */
static void unescape(struct parser *parser, FILE *value)
{
    char c;

    if (parser->at == parser->end) {
        parser->error = "expected a character after the backslash";
        return;
    }
    c = take(parser);
    fputc(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c, value);
}

static void parse_quoted(struct parser *parser, char quote, FILE *value)
{
    while (!parser->error) {
        char c;

        if (parser->at == parser->end) {
            parser->error = quote == '"' ? "expected a closing \"" : "expected a closing '";
            return;
        }
        c = take(parser);
        if (c == quote)
            return;
        if (c == '\\' && quote == '"')
            unescape(parser, value);
        else if (c == '$' && quote == '"')
            substitute(parser, value);
        else
            fputc(c, value);
    }
}

/* Writes an unquoted or quoted value up to the line's end or a comment, without the blanks at its end. */
static void parse_value(struct parser *parser, FILE *value)
{
    const char *blanks;

    while (!parser->error) {
        char c;

        blanks = parser->at;
        skip_blanks(parser);
        c = peek(parser);
        if (c == '\n' || (c == '#' && parser->at > blanks))
            return;
        fwrite(blanks, 1, (size_t)(parser->at - blanks), value);
        take(parser);
        if (c == '"' || c == '\'')
            parse_quoted(parser, c, value);
        else if (c == '\\')
            unescape(parser, value);
        else if (c == '$')
            substitute(parser, value);
        else
            fputc(c, value);
    }
}

static int add_entry(struct dotenv *dotenv, const char *name, size_t length, char *value)
{
    struct dotenv_entry *entries = realloc(dotenv->entries, (dotenv->count + 1u) * sizeof *entries);
    char *copy = strndup(name, length);

    if (entries)
        dotenv->entries = entries;
    if (!entries || !copy) {
        free(copy);
        free(value);
        return -ENOMEM;
    }
    entries[dotenv->count++] = (struct dotenv_entry){copy, value};
    return 0;
}

/* NAME=value, with the parser at the name. */
static int parse_assignment(struct parser *parser)
{
    const char *name = parser->at;
    size_t length = name_length(parser), value_length;
    char *value = NULL;
    FILE *out;

    parser->at += length;
    skip_blanks(parser);
    if (length == 0 || peek(parser) != '=') {
        parser->error = "expected NAME=value";
        return 0;
    }
    parser->at++;
    skip_blanks(parser);
    out = open_memstream(&value, &value_length);
    if (!out)
        return -ENOMEM;
    if (peek(parser) != '#')
        parse_value(parser, out);
    if (fclose(out) != 0) {
        free(value);
        return -ENOMEM;
    }
    if (parser->error) {
        free(value);
        return 0;
    }
    return add_entry(parser->dotenv, name, length, value);
}

static int parse_line(struct parser *parser)
{
    static const char export_word[] = "export";
    size_t export_length = sizeof export_word - 1;
    int result = 0;

    skip_blanks(parser);
    if ((size_t)(parser->end - parser->at) > export_length && memcmp(parser->at, export_word, export_length) == 0 &&
        is_blank(parser->at[export_length])) {
        parser->at += export_length;
        skip_blanks(parser);
    }
    if (peek(parser) != '\n' && peek(parser) != '#')
        result = parse_assignment(parser);
    skip_comment(parser);
    if (!parser->error && parser->at < parser->end)
        take(parser); /* the newline */
    return result;
}

/* Moves the parser behind the bad line, which began at `begin`, even if an unclosed quote had led it further. */
static void skip_line(struct parser *parser, const char *begin, unsigned line)
{
    parser->error = NULL;
    parser->at = begin;
    parser->line = line;
    while (peek(parser) != '\n')
        parser->at++;
    if (parser->at < parser->end)
        take(parser);
}

int dotenv_parse(struct dotenv *dotenv, const char *name, const char *text, size_t length, char *const *environment,
                 struct warnings *warnings)
{
    struct parser parser = {.dotenv = dotenv, .environment = environment, .at = text, .end = text + length, .line = 1};
    int result = 0;

    if (length > 0 && memchr(text, '\0', length)) {
        warnings_add(warnings, "%s is left out: expected text, without NUL", name);
        return 0;
    }
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        parser.at += 3; /* a byte order mark */
    while (result == 0 && parser.at < parser.end) {
        const char *begin = parser.at;
        unsigned line = parser.line;

        result = parse_line(&parser);
        if (parser.error) {
            warnings_add(warnings, "%s, line %u is left out: %s", name, line, parser.error);
            skip_line(&parser, begin, line);
        }
    }
    return result;
}
