/* Where EAL's messages go. */
#ifndef DATAPLANE_ENGINE_DPDK_EAL_LOG_H
#define DATAPLANE_ENGINE_DPDK_EAL_LOG_H

#include <stdbool.h>
#include <stdio.h>

/* Sends the log of EAL and of the drivers to log_line: errors as warnings, what is less important as debug lines. 0 or a negative errno. */
int eal_log_open(void);

/*
 * Takes the place of standard output and standard error, of which rte_eal_init makes use for its usage and its first errors; eal_log_leave gives
 * them back. The texts count as errors.
 */
struct eal_console {
    FILE *out, *error, *stream;
};
int eal_log_enter(struct eal_console *console);
void eal_log_leave(struct eal_console *console);

/* While true, errors are logged as debug lines: they answer a question asked of a driver, or the caller says what went wrong. */
void eal_log_expect_errors(bool expected);

/* As dpdk_eal_take_error. */
const char *eal_log_take_error(void);

#endif
