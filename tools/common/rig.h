/* Runs a relay between a builder and subscribers of its own on this machine. Every message is counted and compared at every subscriber. */
#ifndef TOOLS_COMMON_RIG_H
#define TOOLS_COMMON_RIG_H

#include "common/fleet.h"
#include "common/ledger.h"
#include "common/process.h"
#include "common/process_group.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rig_options {
    const char *relay;            /* the relay's program */
    const char *const *arguments; /* further arguments of the relay, NULL at the end; or NULL */
    const char *address;          /* IPv4, where subscribers reach the relay; NULL: 127.0.0.1 */
    const char *metrics_addr;     /* --metrics-addr of the relay; NULL: it has no metrics */
    int relay_output;             /* descriptor for the relay's output; -1: that of this process */
    uint32_t subscribers;
    uint32_t churn; /* further subscribers that come and go while flashblocks are published */
    uint64_t size_bytes, interval_ns;
    uint64_t log_bytes;                /* --log-memory of the relay */
    const volatile sig_atomic_t *stop; /* ends waiting early once it is not 0 */
    void (*on_ended)(void *context, uint32_t subscriber,
                     const struct fleet_end *end); /* a subscriber lost its connection; may be NULL */
    void *context;
};

struct rig;

#define RIG_ERROR_BYTES 256

/* Starts the builder and the relay and waits until the relay is connected to the builder. False, with the reason in `error`, if that fails.
 * Called from the main thread, because the relay is killed when the thread that started it ends. */
bool rig_start(struct rig **rig, const struct rig_options *options, char error[RIG_ERROR_BYTES]);

/* Connects all subscribers. False, with the reason in `error`, if not all are connected within `patience_ns`. */
bool rig_connect(struct rig *rig, uint64_t patience_ns, char error[RIG_ERROR_BYTES]);

/* Begins, or stops, publishing and the coming and going of the `churn` subscribers. */
void rig_publish(struct rig *rig, bool publish);

/* One turn of the subscribers; sleeps at most until `deadline_ns`. */
void rig_turn(struct rig *rig, uint64_t deadline_ns);

/* Stops publishing and waits until every subscriber has everything, at most `patience_ns`; messages missing then count as lost. */
void rig_settle(struct rig *rig, uint64_t patience_ns);

/* Disconnects the subscribers, ends the relay and frees everything. True if the relay ended by itself with status 0. */
bool rig_stop(struct rig *rig);

struct rig_figures {
    uint32_t open;      /* subscribers connected now */
    uint64_t cut_off;   /* connections that ended although their subscriber did not close them */
    uint64_t joined;    /* connections of the `churn` subscribers */
    uint64_t published; /* flashblocks */
    const struct ledger_tally *tally;
    uint64_t relay_cpu_ns;          /* since it started */
    struct process_memory memory;   /* of the relay, now */
    struct process_memory baseline; /* before there were subscribers */
    bool relay_runs;
};

void rig_figures_get(struct rig *rig, struct rig_figures *figures);

struct ledger *rig_ledger(struct rig *rig);

#endif
