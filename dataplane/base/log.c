#include "flashrelay/log.h"

#include "flashrelay/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A line fits a pipe's page even if every byte of its message is escaped: one write takes all of it or nothing. */
#define MESSAGE_BYTES 640
#define NOTES_BYTES   128 /* of them, kept for notes on lines that are missing */
#define LINE_BYTES    4096
#define MAX_SINKS     2

struct sink {
    enum log_format format;
    int descriptor;
    _Atomic uint32_t lost; /* lines since the last one that was written */
};

static struct sink sinks[MAX_SINKS] = {{.format = LOG_TEXT, .descriptor = STDERR_FILENO}};
static unsigned sink_count = 1;
static const char *const level_names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
static enum log_level threshold = LOG_INFO;

struct line {
    char bytes[LINE_BYTES];
    size_t length;
};

void log_add_sink(enum log_format format, int descriptor)
{
    if (sink_count < MAX_SINKS)
        sinks[sink_count++] = (struct sink){.format = format, .descriptor = descriptor};
}

void log_configure(enum log_level level, enum log_format format, int descriptor)
{
    threshold = level;
    sink_count = 0;
    log_add_sink(format, descriptor);
}

bool log_enabled(enum log_level level)
{
    return level <= threshold;
}

/* True if the line may be written; *suppressed becomes how many of its site were not since the last that was. */
static bool site_admits(struct log_site *site, uint64_t now_ns, uint32_t *suppressed)
{
    uint64_t start = atomic_load_explicit(&site->window_start_ns, memory_order_relaxed);

    if ((start == 0 || now_ns - start >= NS_PER_S) && atomic_compare_exchange_strong(&site->window_start_ns, &start, now_ns))
        atomic_store(&site->lines, 0);
    if (atomic_fetch_add(&site->lines, 1) >= LOG_SITE_LINES_PER_S) {
        atomic_fetch_add(&site->suppressed, 1);
        return false;
    }
    *suppressed = atomic_exchange(&site->suppressed, 0);
    return true;
}

static void line_add(struct line *line, const char *text, size_t length)
{
    size_t room = sizeof line->bytes - 1 - line->length; /* the last byte is the line's end */

    if (length > room)
        length = room;
    memcpy(line->bytes + line->length, text, length);
    line->length += length;
}

static void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* Length of the UTF-8 character that begins at `text` (RFC 3629), 0 if there is none. */
static size_t character_length(const unsigned char *text)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return length;
}

/* One line stays one line whatever the message holds: control characters and what is no UTF-8 are escaped. */
static void line_add_escaped(struct line *line, const char *text, bool quoted)
{
    char escape[8];

    while (*text) {
        unsigned char c = (unsigned char)*text;
        size_t length = character_length((const unsigned char *)text);

        if (length == 0)
            line_add_text(line, "\xef\xbf\xbd"); /* U+FFFD */
        else if (c < 0x20 || c == 0x7f)
            line_add(line, escape, (size_t)snprintf(escape, sizeof escape, quoted ? "\\u%04x" : "\\x%02x", c));
        else if (quoted && (c == '"' || c == '\\'))
            line_add(line, (char[]){'\\', (char)c}, 2);
        else
            line_add(line, text, length);
        text += length ? length : 1;
    }
}

static void line_add_time(struct line *line)
{
    uint64_t now_ns = clock_realtime_ns();
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    char text[40];
    struct tm tm;
    size_t length;

    gmtime_r(&seconds, &tm);
    length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    length += (size_t)snprintf(text + length, sizeof text - length, ".%06uZ", (unsigned)(now_ns % NS_PER_S / NS_PER_US));
    line_add(line, text, length);
}

static void write_text(struct line *line, enum log_level level, const char *module, const char *message)
{
    size_t width = strlen(level_names[level]);

    line_add_time(line);
    line_add(line, "      ", 6 - width);
    line_add_text(line, level_names[level]);
    line_add_text(line, " ");
    line_add_text(line, module);
    line_add_text(line, ": ");
    line_add_escaped(line, message, false);
}

static void write_json(struct line *line, enum log_level level, const char *module, const char *message)
{
    line_add_text(line, "{\"timestamp\":\"");
    line_add_time(line);
    line_add_text(line, "\",\"level\":\"");
    line_add_text(line, level_names[level]);
    line_add_text(line, "\",\"fields\":{\"message\":\"");
    line_add_escaped(line, message, true);
    line_add_text(line, "\"},\"target\":\"");
    line_add_escaped(line, module, true);
    line_add_text(line, "\"}");
}

static void write_logfmt(struct line *line, enum log_level level, const char *module, const char *message)
{
    line_add_text(line, "time=\"");
    line_add_time(line);
    line_add_text(line, "\" level=");
    line_add_text(line, level_names[level]);
    line_add_text(line, " target=");
    line_add_text(line, module);
    line_add_text(line, " msg=\"");
    line_add_escaped(line, message, true);
    line_add_text(line, "\"");
}

static void (*const writers[])(struct line *line, enum log_level level, const char *module, const char *message) = {
    [LOG_TEXT] = write_text,
    [LOG_JSON] = write_json,
    [LOG_LOGFMT] = write_logfmt,
};

/* A reader of the log that stalls must not stop the relay: what finds no room in its pipe is dropped and counted. */
static void sink_write(struct sink *sink, enum log_level level, const char *module, char *message, size_t length)
{
    struct pollfd room = {.fd = sink->descriptor, .events = POLLOUT};
    uint32_t lost = atomic_exchange(&sink->lost, 0);
    struct line line = {.length = 0};

    if (lost)
        snprintf(message + length, MESSAGE_BYTES - length, " (%u lines lost: whoever reads the log did not keep up)", lost);
    writers[sink->format](&line, level, module, message);
    message[length] = 0;
    line.bytes[line.length++] = '\n';
    if (poll(&room, 1, 0) != 1 || write(sink->descriptor, line.bytes, line.length) != (ssize_t)line.length)
        atomic_fetch_add(&sink->lost, lost + 1);
}

void log_write(struct log_site *site, enum log_level level, const char *module, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    uint32_t suppressed = 0;
    va_list arguments;
    size_t length;

    if (!site_admits(site, clock_monotonic_ns(), &suppressed))
        return;
    va_start(arguments, format);
    vsnprintf(message, MESSAGE_BYTES - NOTES_BYTES, format, arguments);
    va_end(arguments);
    length = strlen(message);
    if (suppressed)
        length += (size_t)snprintf(message + length, MESSAGE_BYTES - length, " (%u like it not shown)", suppressed);
    for (unsigned i = 0; i < sink_count; i++)
        sink_write(&sinks[i], level, module, message, length);
}
