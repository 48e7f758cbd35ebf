#include "common/scrape.h"

#include "common/printable.h"
#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 2

static int ask(const struct address *address)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(address, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = PATIENCE_S}, sizeof(struct timeval));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sockaddr, length) == 0 &&
        write(fd, request, sizeof request - 1) == (ssize_t)sizeof request - 1)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

char *scrape_counters(const struct address *address)
{
    struct text answer = {0};
    char piece[16384];
    ssize_t n;
    int fd = ask(address);

    if (fd < 0)
        return NULL;
    while ((n = read(fd, piece, sizeof piece)) > 0)
        text_add(&answer, piece, (size_t)n);
    close(fd);
    const char *body = answer.bytes ? strstr(answer.bytes, "\r\n\r\n") : NULL;
    char *samples = body ? strdup(body + 4) : NULL;
    text_dispose(&answer);
    return samples;
}

/* The value behind the sample called `name` of `length` characters; false if there is none. */
static bool find_sample(const char *samples, const char *name, size_t length, double *value)
{
    for (const char *line = samples; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            *value = strtod(line + length, NULL);
            return true;
        }
    }
    return false;
}

bool scrape_sum(const char *samples, const char *name, double *sum)
{
    size_t length = strlen(name);
    bool found = false;

    *sum = 0;
    for (const char *line = samples; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != '{'))
            continue;
        *sum += strtod(line + strcspn(line, " \n"), NULL);
        found = true;
    }
    return found;
}

static bool is_wanted(const char *name, size_t length, const char *wanted)
{
    return length > 0 && name[0] != '#' && !memmem(name, length, "_bucket{", 8) && !memmem(name, length, "quantile=", 9) &&
           memmem(name, length, wanted, strlen(wanted));
}

char *scrape_difference(const char *before, const char *after, const char *wanted)
{
    struct text changed = {0};

    if (!before || !after)
        return NULL;
    text_add_string(&changed, "");
    for (const char *line = after; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *end = strchr(line, '\n');
        const char *blank = memrchr(line, ' ', end ? (size_t)(end - line) : strlen(line));
        size_t length = blank ? (size_t)(blank - line) : 0;
        double was, is;
        if (!is_wanted(line, length, wanted) || !find_sample(before, line, length, &was))
            continue;
        is = strtod(blank, NULL);
        if (is == was)
            continue;
        printable_add(&changed, line, length);
        text_format(&changed, " %.9g\n", is - was);
    }
    return changed.bytes;
}
