/* The one logging call. Lines go to standard error as text, JSON or logfmt, one write(2) a line, any thread. */
#ifndef FLASHRELAY_LOG_H
#define FLASHRELAY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON, LOG_LOGFMT };

/* State of one call site: at most LOG_SITE_LINES_PER_S lines a second, the rest counted and reported by the next one. */
struct log_site {
    _Atomic uint64_t window_start_ns;
    _Atomic uint32_t lines;
    _Atomic uint32_t suppressed;
};

#define LOG_SITE_LINES_PER_S 10

/* Sets level, format and the file descriptor for the whole process; before other threads start. */
void log_configure(enum log_level level, enum log_format format, int descriptor);

/* Writes every line to a second descriptor too (a file that may be replaced behind it with dup2); before other threads start. */
void log_add_sink(enum log_format format, int descriptor);

/* True if lines of this level are written. */
bool log_enabled(enum log_level level);

/* Use the macro below. `module` is the source file's module name. Never pass keys, tokens or URI credentials. */
void log_write(struct log_site *site, enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* log_line(LOG_INFO, "upstream", "connected to %s", name) */
#define log_line(level, module, ...)                               \
    do {                                                           \
        static struct log_site log_site_;                          \
        if (log_enabled(level))                                    \
            log_write(&log_site_, (level), (module), __VA_ARGS__); \
    } while (0)

#endif
