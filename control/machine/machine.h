/* The processors and the memory that the machine, or a container, gives this process. */
#ifndef CONTROL_MACHINE_MACHINE_H
#define CONTROL_MACHINE_MACHINE_H

#include <stdint.h>

struct machine {
    uint64_t processors;         /* on which the process may run (its affinity), at least 1 */
    uint64_t quota_millis;       /* thousandths of a processor that its control groups may use; UINT64_MAX: no limit */
    uint64_t memory_limit_bytes; /* of its control groups; UINT64_MAX: none */
};

/*
 * Reads the machine's state. Control groups of v1 and v2 are both read, the process's own and those above it; the lowest limit counts. A
 * limit that cannot be read is no limit. `root` is put before every path: "" except in tests.
 */
void machine_read(struct machine *machine, const char *root);

#endif
