/* The .env file that applies: that of the working directory, or of the nearest directory above it that has one. */
#ifndef CONTROL_OPTIONS_DOTENV_FILE_H
#define CONTROL_OPTIONS_DOTENV_FILE_H

#include "options/dotenv.h"

/*
 * Reads the file into a zeroed `dotenv`, which stays empty if there is none or it cannot be read; what is wrong is added to `warnings`.
 * `environment` as in dotenv_parse.
 */
void dotenv_file_read(struct dotenv *dotenv, char *const *environment, struct warnings *warnings);

#endif
