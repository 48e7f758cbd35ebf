#include "engine/dpdk/eal_log.h"

#include "flashrelay/log.h"

#include <rte_log.h>

#include <errno.h>
#include <string.h>

/* Written by the threads that log, one after the other: the stream locks itself. */
static char first_error[256];
static bool errors_are_expected;

static void note_error(const char *line, int length)
{
    if (first_error[0] == '\0')
        snprintf(first_error, sizeof first_error, "%.*s", length, line);
}

static void write_line(const char *line, int length, uint32_t level, bool is_harmless)
{
    if (level <= RTE_LOG_ERR)
        note_error(line, length);
    if (level <= RTE_LOG_WARNING && !is_harmless)
        log_line(LOG_WARN, "dpdk", "%.*s", length, line);
    else
        log_line(LOG_DEBUG, "dpdk", "%.*s", length, line);
}

/* Calls `take` for each line that is not empty. */
static ssize_t split(const char *text, size_t size, void (*take)(const char *line, int length))
{
    for (size_t at = 0; at < size;) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;

        if (length > 0)
            take(line, (int)length);
        at += length + 1;
    }
    return (ssize_t)size;
}

/* net_tap logs an error whenever it starts, because it can't tell that to other processes. There are none. */
static bool is_about_other_processes(const char *line, int length)
{
    static const char text[] = "req to secondary";

    return memmem(line, (size_t)length, text, sizeof text - 1) != NULL;
}

static void take_logged(const char *line, int length)
{
    int level = rte_log_cur_msg_loglevel();

    if (is_about_other_processes(line, length))
        level = RTE_LOG_DEBUG;
    write_line(line, length, level > 0 ? (uint32_t)level : RTE_LOG_INFO, errors_are_expected);
}

static ssize_t write_log(void *context, const char *text, size_t size)
{
    (void)context;
    return split(text, size, take_logged);
}

/* Usage follows the error and is long. */
static void take_printed(const char *line, int length)
{
    note_error(line, length);
    log_line(LOG_DEBUG, "dpdk", "%.*s", length, line);
}

static ssize_t write_console(void *context, const char *text, size_t size)
{
    (void)context;
    return split(text, size, take_printed);
}

static FILE *open_stream(ssize_t (*write)(void *context, const char *text, size_t size))
{
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write});

    if (stream)
        setvbuf(stream, NULL, _IOLBF, BUFSIZ);
    return stream;
}

int eal_log_open(void)
{
    FILE *stream = open_stream(write_log);

    if (!stream)
        return -ENOMEM;
    rte_openlog_stream(stream);
    return 0;
}

int eal_log_enter(struct eal_console *console)
{
    *console = (struct eal_console){.out = stdout, .error = stderr, .stream = open_stream(write_console)};
    if (!console->stream)
        return -ENOMEM;
    fflush(stdout);
    stdout = console->stream;
    stderr = console->stream;
    return 0;
}

void eal_log_leave(struct eal_console *console)
{
    stdout = console->out;
    stderr = console->error;
    fclose(console->stream);
}

void eal_log_expect_errors(bool expected)
{
    errors_are_expected = expected;
}

const char *eal_log_take_error(void)
{
    static char taken[sizeof first_error];

    memcpy(taken, first_error, sizeof taken);
    first_error[0] = '\0';
    return taken;
}
