/* The proxy under test: its command line, and its life. */
#ifndef FLASHBENCH_PROXY_H
#define FLASHBENCH_PROXY_H

#include "common/process.h"
#include "flashrelay/address.h"

#define PROXY_MAX_ARGUMENTS 64

struct proxy {
    char label[48];
    char command[1024]; /* with {upstream} and {listen} in it */
};

/*
 * Understands "LABEL=COMMAND", "COMMAND" (its label is the program's name), and the built-in names flashrelay and bare_loop, alone or
 * with more flags behind. False if it has no {upstream} or no {listen}, or is too long.
 */
bool proxy_parse(struct proxy *proxy, const char *text);

/* Starts it on `cores`; its output goes to `output`, or nowhere. 0 or a negative errno. */
int proxy_start(const struct proxy *proxy, struct process *process, uint16_t upstream_port, const struct address *listen,
                const int *cores, unsigned core_count, const char *output);

/* A loopback address whose port is free just now. 0 or a negative errno. */
int proxy_free_address(struct address *address);

#endif
