#include "common/proc.h"

#include "flashrelay/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool proc_read(const char *path, char *text, size_t capacity)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (descriptor < 0)
        return false;
    length = read(descriptor, text, capacity - 1);
    close(descriptor);
    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}

void proc_for_each_id(const char *folder, void (*visit)(pid_t id, void *context), void *context)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        if (isdigit((unsigned char)entry->d_name[0]))
            visit((pid_t)strtol(entry->d_name, NULL, 10), context);
    }
    closedir(directory);
}

uint64_t proc_find_number(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

/* The process's own clock, because /proc/PID/stat counts in steps of 10 ms and schedstat forgets threads that ended. */
uint64_t proc_cpu_ns(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}
