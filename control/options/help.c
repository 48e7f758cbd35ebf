#include "options/options.h"
#include "options/types.h"

#include <string.h>

#define WIDTH  100
#define INDENT 40 /* where meanings begin */

/* Prints `text` from column `column` on, broken at blanks, further lines at INDENT; returns the column where it ended. */
static size_t print_wrapped(FILE *out, const char *text, size_t column)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        bool begins_line = column <= INDENT;

        if (!begins_line && column + 1 + word > WIDTH) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
            begins_line = true;
        }
        column += (size_t)fprintf(out, "%s%.*s", begins_line ? "" : " ", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    return column;
}

/* Prints `label` and `text` in brackets from column `column` on, or in a new line if they do not fit; returns the column where it ended. */
static size_t print_note(FILE *out, const char *label, const char *text, size_t column)
{
    size_t length = strlen(label) + strlen(text) + 2;

    if (column + 1 + length > WIDTH) {
        fprintf(out, "\n%*s", INDENT, "");
        column = INDENT;
    }
    return column + (size_t)fprintf(out, "%s[%s%s]", column > INDENT ? " " : "", label, text);
}

static void print_option(FILE *out, const struct option *option)
{
    const char *value_name = option->type->value_name, *initial = option->initial ? option->initial : option->default_note;
    bool is_required = strcmp(initial, "required") == 0;
    char variable[OPTION_VARIABLE_BYTES];
    size_t column;

    if (option->letter)
        column = (size_t)fprintf(out, "  -%c, --%s", option->letter, option->name);
    else
        column = (size_t)fprintf(out, "  --%s", option->name);
    if (option->alias)
        column += (size_t)fprintf(out, ", --%s", option->alias);
    if (value_name)
        column += (size_t)fprintf(out, " %s", value_name);
    fprintf(out, column < INDENT - 1 ? "%*s" : "\n%*s", (int)(column < INDENT - 1 ? INDENT - column : INDENT), "");
    column = print_wrapped(out, option->meaning, INDENT);
    column = print_note(out, is_required ? "" : "default: ", *initial ? initial : "none", column);
    if (option->variable)
        print_note(out, "variable: ", option_variable(option, variable), column);
    fputc('\n', out);
}

void options_print_help(FILE *out)
{
    fputs("Relays flashblocks from builders to WebSocket subscribers.\n"
          "\n"
          "Usage: flashrelay --upstream-ws URI[,URI...] [FLAG...]\n"
          "\n"
          "Every flag can also be set by an environment variable, or by a line of the nearest file .env in the\n"
          "working directory or above it: its name in capitals, with _ for - and ., unless another is given. A\n"
          "flag goes over the variable, and that over the file. --flag VALUE and --flag=VALUE are the same;\n"
          "flags without a value are switches and take =true or =false.\n",
          out);
    for (unsigned i = 0; i < option_table_count; i++) {
        if (option_table[i].group)
            fprintf(out, "\n%s:\n", option_table[i].group);
        print_option(out, &option_table[i]);
    }
    fputs("\n  -h, --help                            print this and end\n"
          "  -V, --version                         print the version and end\n",
          out);
}
