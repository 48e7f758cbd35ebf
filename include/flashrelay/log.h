/*
 * The one logging call. Lines go to one or two descriptors (standard error until log_configure names others) as text, JSON or logfmt, one
 * write(2) per line.
 *
 * Before log_start, and after log_stop, the caller writes its lines itself and waits for whoever takes them: what a tool needs, or a
 * start that fails. In between lines are queued and a thread per descriptor writes them: the caller makes no system call but one to wake a
 * thread that sleeps. A queue that is full drops the line; how many were dropped there is said in their place and counted. The lines of
 * a thread stay in order. A crash loses what is queued.
 */
#ifndef FLASHRELAY_LOG_H
#define FLASHRELAY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON, LOG_LOGFMT };

/* Lines of one call site per second; the rest is counted, and the next line says how many there were. */
#define LOG_SITE_LINES_PER_S 10
/*
 * The same of a site that tells what one of many peers did, and how many of them may be about one peer: who comes and goes all the time
 * takes a tenth and hides nobody else. Peers are told apart by a hash: two of them share one tenth with a chance of 1 in LOG_PEERS.
 */
#define LOG_EVENT_LINES_PER_S 1000
#define LOG_PEER_LINES_PER_S  100
#define LOG_PEERS             256

struct log_peers {
    _Atomic uint8_t lines[LOG_PEERS]; /* in this second */
};

/* State of one call site. */
struct log_site {
    _Atomic uint64_t window_start_ns;
    _Atomic uint32_t lines;
    _Atomic uint32_t suppressed;
    struct log_peers *peers; /* NULL: its lines are about no peers */
};

/* How long log_stop waits for whoever takes the lines. */
#define LOG_STOP_TIMEOUT_MS 2000

/* Sets level, format and the file descriptor for the whole process; before other threads start. */
void log_configure(enum log_level level, enum log_format format, int descriptor);

/* Writes every line to a second descriptor too (a file that may be replaced behind it with dup2); before other threads start. */
void log_add_sink(enum log_format format, int descriptor);

/* From here on lines are queued. Once, after log_configure and before other threads log. 0 or a negative errno; then nothing changed. */
int log_start(void);

/*
 * Writes what is queued, for at most LOG_STOP_TIMEOUT_MS, and ends the threads. For the end of the process, after the threads that
 * log or instead of waiting for them. Does nothing if log_start was not called.
 */
void log_stop(void);

/* Lines that were dropped so far, on all descriptors. Any thread. */
uint64_t log_dropped_lines(void);

/* True if lines of this level are written. */
bool log_enabled(enum log_level level);

/*
 * Use the macros below. `peer`, of `peer_bytes`, tells whom the line is about, where the site has peers. `module` is the source file's
 * module name, a text that stays. Never pass keys, tokens or URI credentials. Any thread.
 */
void log_write(struct log_site *site, const void *peer, size_t peer_bytes, enum log_level level, const char *module,
               const char *format, ...) __attribute__((format(printf, 6, 7)));

/* log_line(LOG_INFO, "upstream", "connected to %s", name) */
#define log_line(level, module, ...)                                        \
    do {                                                                    \
        static struct log_site log_site_;                                   \
        if (log_enabled(level))                                             \
            log_write(&log_site_, NULL, 0, (level), (module), __VA_ARGS__); \
    } while (0)

/* log_event(LOG_INFO, "shard", &ip, sizeof ip, "%s connected", text): a line about one of many peers, here an IP address. */
#define log_event(level, module, peer, peer_bytes, ...)                                  \
    do {                                                                                 \
        static struct log_peers log_peers_;                                              \
        static struct log_site log_site_ = {.peers = &log_peers_};                       \
        if (log_enabled(level))                                                          \
            log_write(&log_site_, (peer), (peer_bytes), (level), (module), __VA_ARGS__); \
    } while (0)

#endif
