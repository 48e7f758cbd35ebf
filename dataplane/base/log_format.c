#include "base/log_format.h"

#include "flashrelay/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

struct line {
    char *bytes;
    size_t length;
};

static void line_add(struct line *line, const char *text, size_t length)
{
    size_t room = LOG_LINE_BYTES - 1 - line->length; /* the last byte is for the newline */

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

/* Keeps a message on one line: escapes control characters, and puts U+FFFD in the place of bytes that are not UTF-8. */
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

static void line_add_time(struct line *line, uint64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / NS_PER_S);
    char text[40];
    struct tm tm;
    size_t length;

    gmtime_r(&seconds, &tm);
    length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    length += (size_t)snprintf(text + length, sizeof text - length, ".%06uZ", (unsigned)(time_ns % NS_PER_S / NS_PER_US));
    line_add(line, text, length);
}

static void write_text(struct line *line, const struct log_message *message)
{
    size_t width = strlen(level_names[message->level]);

    line_add_time(line, message->time_ns);
    line_add(line, "      ", 6 - width);
    line_add_text(line, level_names[message->level]);
    line_add_text(line, " ");
    line_add_text(line, message->module);
    line_add_text(line, ": ");
    line_add_escaped(line, message->text, false);
}

static void write_json(struct line *line, const struct log_message *message)
{
    line_add_text(line, "{\"timestamp\":\"");
    line_add_time(line, message->time_ns);
    line_add_text(line, "\",\"level\":\"");
    line_add_text(line, level_names[message->level]);
    line_add_text(line, "\",\"fields\":{\"message\":\"");
    line_add_escaped(line, message->text, true);
    line_add_text(line, "\"},\"target\":\"");
    line_add_escaped(line, message->module, true);
    line_add_text(line, "\"}");
}

static void write_logfmt(struct line *line, const struct log_message *message)
{
    line_add_text(line, "time=\"");
    line_add_time(line, message->time_ns);
    line_add_text(line, "\" level=");
    line_add_text(line, level_names[message->level]);
    line_add_text(line, " target=");
    line_add_text(line, message->module);
    line_add_text(line, " msg=\"");
    line_add_escaped(line, message->text, true);
    line_add_text(line, "\"");
}

static void (*const writers[])(struct line *line, const struct log_message *message) = {
    [LOG_TEXT] = write_text,
    [LOG_JSON] = write_json,
    [LOG_LOGFMT] = write_logfmt,
};

size_t log_format_line(char *out, enum log_format format, const struct log_message *message)
{
    struct line line = {.bytes = out};

    writers[format](&line, message);
    line.bytes[line.length++] = '\n';
    return line.length;
}
