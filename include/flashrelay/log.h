/*
 * The one logging call. Lines go to one or two descriptors (standard error until log_configure names others) as text, JSON or logfmt, one
 * write(2) per line.
 *
 * Before log_start and after log_stop the calling thread writes its lines itself and waits until the descriptor takes them, as tools and a
 * start that fails need it. In between, lines are queued and one thread per descriptor writes them: the calling thread makes no system call
 * except to wake a thread that sleeps. A full queue drops the line; dropped lines are counted, and a line in their place says how many there
 * were. The lines of one thread stay in order. A crash loses the queued lines.
 */
#ifndef FLASHRELAY_LOG_H
#define FLASHRELAY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON, LOG_LOGFMT };

/* Most lines per second of one call site; further lines are only counted, and the site's next line says how many there were. */
#define LOG_SITE_LINES_PER_S 10
/*
 * The same for a site of log_event, and for its lines about one peer: a peer that connects and disconnects all the time uses up a tenth of the
 * lines and does not hide the others. Peers are told apart by a hash: two of them share one tenth with a chance of 1 in LOG_PEERS.
 */
#define LOG_EVENT_LINES_PER_S 1000
#define LOG_PEER_LINES_PER_S  100
#define LOG_PEERS             256

struct log_peers {
    _Atomic uint8_t lines[LOG_PEERS]; /* of the running second, by the hash of the peer */
};

/* State of one call site. */
struct log_site {
    _Atomic uint64_t window_start_ns;
    _Atomic uint32_t lines;
    _Atomic uint32_t suppressed;
    struct log_peers *peers; /* NULL at a site of log_line */
};

/* How long log_stop waits for descriptors to take the queued lines. */
#define LOG_STOP_TIMEOUT_MS 2000

/* Sets level, format and the file descriptor for the whole process; before other threads start. */
void log_configure(enum log_level level, enum log_format format, int descriptor);

/* Writes every line to a second descriptor too (dup2 may replace its file); a third one is ignored. Before other threads start. */
void log_add_sink(enum log_format format, int descriptor);

/* Starts to queue lines. Once, after log_configure and before other threads log. 0, or a negative errno and callers still write their lines. */
int log_start(void);

/*
 * Writes the queued lines, for at most LOG_STOP_TIMEOUT_MS, and ends the threads that write. For the end of the process, after the threads
 * that log have ended or instead of waiting for them. Does nothing if log_start was not called.
 */
void log_stop(void);

/* Lines dropped so far, summed over the descriptors. Any thread. */
uint64_t log_dropped_lines(void);

/* True if lines of this level are written. Any thread. */
bool log_enabled(enum log_level level);

/*
 * Logs one line; to be called by the macros below. `peer` (`peer_bytes` bytes, not kept) identifies the peer that the line is about, at a
 * site with peers. `module` is the source file's module name, a static text. Never pass keys, tokens or URI credentials. Any thread.
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
