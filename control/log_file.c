#include "log_file.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "flashrelay.log"

/* Length of a period, and how many characters of ".YYYY-MM-DD-HH-MM" are appended to the file's name. */
static const struct {
    uint64_t seconds; /* 0: no rotation */
    int suffix_length;
} rotations[] = {
    [LOG_ROTATION_NEVER] = {0, 0},
    [LOG_ROTATION_MINUTELY] = {60, 17},
    [LOG_ROTATION_HOURLY] = {3600, 14},
    [LOG_ROTATION_DAILY] = {86400, 11},
};

static uint64_t period_of(enum log_rotation rotation, uint64_t now_ns)
{
    uint64_t seconds = rotations[rotation].seconds;

    return seconds ? now_ns / NS_PER_S / seconds : 0;
}

static int open_period(const struct log_file *file)
{
    time_t begin = (time_t)(file->period * rotations[file->rotation].seconds);
    char path[PATH_MAX], suffix[32];
    struct tm tm;
    int descriptor, length;

    gmtime_r(&begin, &tm);
    strftime(suffix, sizeof suffix, ".%Y-%m-%d-%H-%M", &tm);
    length =
        snprintf(path, sizeof path, "%s/" FILE_NAME "%.*s", file->directory, rotations[file->rotation].suffix_length, suffix);
    if ((size_t)length >= sizeof path)
        return -ENAMETOOLONG;
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return descriptor < 0 ? -errno : descriptor;
}

/* mkdir -p */
static int make_directory(const char *directory)
{
    char path[PATH_MAX];

    if (strlen(directory) >= sizeof path)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= strlen(directory); i++) {
        if (directory[i] != '/' && directory[i] != '\0')
            continue;
        memcpy(path, directory, i);
        path[i] = '\0';
        if (mkdir(path, 0750) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

int log_file_open(struct log_file *file, const char *directory, enum log_rotation rotation, uint64_t now_ns)
{
    int result = make_directory(directory);

    if (result < 0)
        return result;
    *file = (struct log_file){.directory = directory, .rotation = rotation, .period = period_of(rotation, now_ns)};
    file->descriptor = open_period(file);
    return file->descriptor < 0 ? file->descriptor : 0;
}

uint64_t log_file_rotate(struct log_file *file, uint64_t now_ns)
{
    uint64_t period = period_of(file->rotation, now_ns);
    int descriptor;

    if (file->rotation == LOG_ROTATION_NEVER)
        return CLOCK_NEVER;
    if (period != file->period) {
        file->period = period;
        descriptor = open_period(file);
        if (descriptor < 0) {
            log_line(LOG_ERROR, "log", "cannot begin a new file in %s, the old one goes on: %s", file->directory,
                     strerror(-descriptor));
        } else {
            dup3(descriptor, file->descriptor, O_CLOEXEC);
            close(descriptor);
        }
    }
    return (period + 1) * rotations[file->rotation].seconds * NS_PER_S;
}

void log_file_close(struct log_file *file)
{
    close(file->descriptor);
}
