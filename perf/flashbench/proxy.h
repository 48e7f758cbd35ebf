/* The proxy under test: its command line, and its life. */
#ifndef PERF_FLASHBENCH_PROXY_H
#define PERF_FLASHBENCH_PROXY_H

#include "common/process.h"
#include "flashrelay/address.h"

#include <stdbool.h>

#define PROXY_MAX_ARGUMENTS 64

struct proxy {
    char label[48];
    char command[1024]; /* with {upstream} and {listen} in it, and {metrics} if the proxy serves metrics */
    bool plain;         /* not subject to the scenario (churn, slow, stalled) */
};

/*
 * Parses "LABEL=COMMAND", "COMMAND" (its label is the program's name), and the built-in names flashrelay and bare_loop, alone or
 * with further flags behind. False if the command has no {upstream} or no {listen}, or is too long.
 */
bool proxy_parse(struct proxy *proxy, const char *text);

/* The addresses that go into a command; loopback. */
struct proxy_addresses {
    uint16_t upstream_port;
    struct address listen, metrics;
};

/* Starts the proxy on `cores`; its output is appended to the file `output`, or dropped if that is NULL. 0 or a negative errno. */
int proxy_start(const struct proxy *proxy, struct process *process, const struct proxy_addresses *addresses, const int *cores,
                unsigned core_count, const char *output);

/* Finds a loopback address whose port is free at the moment. 0 or a negative errno. */
int proxy_free_address(struct address *address);

#endif
