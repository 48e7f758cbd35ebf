/*
 * Gives the receiving half of loopback TCP to the subscribers' core. The kernel does that half on the core that sends, so it is charged to
 * the proxy; receive packet steering (RPS) of the loopback device moves it. The setting is the machine's: a process of its own changes it and
 * puts the old value back when flashbench ends, however it ends.
 */
#ifndef PERF_FLASHBENCH_RECEIVERS_SOFTIRQ_H
#define PERF_FLASHBENCH_RECEIVERS_SOFTIRQ_H

#include <stdbool.h>
#include <stddef.h>

/* Steers what loopback receives to `core`. False, with the reason in `error`: no root, no RPS in the kernel, another
 * flashbench has changed it. */
bool receivers_softirq_begin(unsigned core, char *error, size_t capacity);

/* Puts the old value back. False if that failed; the error is printed on standard error. Does nothing if the setting was not changed. */
bool receivers_softirq_end(void);

#endif
