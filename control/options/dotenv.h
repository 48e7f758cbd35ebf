/*
 * .env files: NAME=value a line, as the shell and the dotenv libraries read them. `export` before the name, comments from # on,
 * single quotes (nothing is special inside), double quotes (backslash escapes, $NAME and ${NAME} inside; both kinds may span
 * lines), unquoted values (escapes and $NAME too; blanks around them are no part of them). An unknown $NAME is empty.
 */
#ifndef CONTROL_OPTIONS_DOTENV_H
#define CONTROL_OPTIONS_DOTENV_H

#include <stddef.h>

struct dotenv {
    struct dotenv_entry {
        char *name, *value;
    } * entries;
    unsigned count;
};

/* Where and what: `error` is a static text that says what was expected. */
struct dotenv_error {
    unsigned line;
    const char *error;
};

/*
 * Reads a file's text into a zeroed `dotenv`; `environment` (NULL-terminated, may be NULL) goes before the file where $NAME is
 * replaced. 0, -EINVAL and `error`, or -ENOMEM; dispose either way.
 */
int dotenv_parse(struct dotenv *dotenv, const char *text, size_t length, char *const *environment, struct dotenv_error *error);
void dotenv_dispose(struct dotenv *dotenv);

/* The first value of that name, or NULL. */
const char *dotenv_find(const struct dotenv *dotenv, const char *name);

/* The value of `name` in an environment (NULL-terminated list of NAME=value), or NULL. */
const char *environment_find(char *const *environment, const char *name, size_t name_length);

#endif
