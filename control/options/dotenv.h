/*
 * .env files: one NAME=value per line, as the shell and the dotenv libraries read them. `export` before the name, comments from # on,
 * single quotes (nothing is special inside), double quotes (backslash escapes, $NAME and ${NAME} inside; both kinds may span
 * lines), unquoted values (escapes and $NAME too; blanks around them are no part of them). An unknown $NAME is empty.
 */
#ifndef CONTROL_OPTIONS_DOTENV_H
#define CONTROL_OPTIONS_DOTENV_H

#include "options/warnings.h"

#include <stddef.h>

struct dotenv {
    struct dotenv_entry {
        char *name, *value;
    } * entries;
    unsigned count;
};

/*
 * Reads the text of the file `name` into a zeroed `dotenv`. $NAME is looked up in `environment` (NULL-terminated, may be NULL) first, then
 * in the entries read so far. A line that is none of these forms is left out; a warning then names the line and what was expected, and
 * shows nothing of the line. 0 or -ENOMEM; call dotenv_dispose either way.
 */
int dotenv_parse(struct dotenv *dotenv, const char *name, const char *text, size_t length, char *const *environment,
                 struct warnings *warnings);
void dotenv_dispose(struct dotenv *dotenv);

/* The first value of that name, or NULL. */
const char *dotenv_find(const struct dotenv *dotenv, const char *name);

/* The value of `name` in an environment (NULL-terminated list of NAME=value), or NULL. */
const char *environment_find(char *const *environment, const char *name, size_t name_length);

#endif
