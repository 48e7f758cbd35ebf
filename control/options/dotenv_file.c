#include "options/dotenv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "/.env"
#define MAX_BYTES (1 << 20)

/* 0 and true in *found if `path` is a file, 0 and false if it is none, or a negative errno. */
static int look_for_file(const char *path, bool *found)
{
    struct stat status;

    *found = false;
    if (stat(path, &status) != 0)
        return errno == ENOENT ? 0 : -errno;
    *found = S_ISREG(status.st_mode);
    return 0;
}

/* Finds the nearest file from the directory in `path` upwards, and leaves its path there; *found is false if there is none. */
static int find_nearest(char path[PATH_MAX], bool *found)
{
    size_t length = strlen(path);
    int error;

    for (;;) {
        if (length + sizeof FILE_NAME > PATH_MAX)
            return -ENAMETOOLONG;
        strcpy(path + length, FILE_NAME);
        error = look_for_file(path, found);
        if (error != 0 || *found || length == 0)
            return error;
        path[length] = '\0';
        length = (size_t)(strrchr(path, '/') - path); /* of the directory above, without its slash */
    }
}

/* Reads at most `capacity` bytes of the file. How many, or a negative errno. */
static ssize_t read_file(const char *path, char *text, size_t capacity)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = descriptor < 0 ? -1 : read(descriptor, text, capacity);
    ssize_t result = length < 0 ? -errno : length;

    if (descriptor >= 0)
        close(descriptor);
    return result;
}

static void read_found(struct dotenv *dotenv, const char *path, char *const *environment, struct warnings *warnings)
{
    char *text = malloc(MAX_BYTES);
    ssize_t length = text ? read_file(path, text, MAX_BYTES) : -ENOMEM;

    if (length == MAX_BYTES)
        length = -EFBIG;
    if (length >= 0)
        length = dotenv_parse(dotenv, path, text, (size_t)length, environment, warnings);
    if (length < 0)
        warnings_add(warnings, "%s is left out: %s", path, strerror((int)-length));
    free(text);
}

void dotenv_file_read(struct dotenv *dotenv, char *const *environment, struct warnings *warnings)
{
    char path[PATH_MAX];
    bool found = false;
    int error;

    if (!getcwd(path, sizeof path))
        return; /* the working directory is gone */
    if (strcmp(path, "/") == 0)
        path[0] = '\0';
    error = find_nearest(path, &found);
    if (error != 0)
        warnings_add(warnings, "cannot look for %s: %s", path, strerror(-error));
    else if (found)
        read_found(dotenv, path, environment, warnings);
}
