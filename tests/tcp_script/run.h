/* Runs scripts. One thread. */
#ifndef TESTS_TCP_SCRIPT_RUN_H
#define TESTS_TCP_SCRIPT_RUN_H

#include "tcp_script/script.h"

/* Runs a script. False if the engine does not do what it expects; then file, line and what came instead have been printed. */
bool run_script(const struct script *script, const char *path);

#endif
