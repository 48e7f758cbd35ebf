#include "bypass_relay/pairs.h"

#include "population/program.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pairs_find_program(char *path, size_t capacity, const char *name)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);

    if (length < 0)
        err(1, "/proc/self/exe");
    own[length] = '\0';
    *strrchr(own, '/') = '\0';
    if ((size_t)snprintf(path, capacity, "%s/%s", own, name) >= capacity)
        errx(1, "%s/%s: the path is too long", own, name);
}

static double run_once(const char *command, const char *member)
{
    char output[2048], name[64];
    double value = 0;
    FILE *pipe = popen(command, "re");

    if (!pipe)
        err(1, "%s", command);
    snprintf(name, sizeof name, "\"%s\": ", member);
    while (fgets(output, sizeof output, pipe)) {
        const char *found = strstr(output, name);

        value = found ? strtod(found + strlen(name), NULL) : 0;
    }
    return pclose(pipe) == 0 ? value : 0;
}

double pairs_run(const char *command, const char *member)
{
    double value = run_once(command, member);

    if (value <= 0)
        errx(1, "no figure came from: %s", command);
    return value;
}

struct pairs_ratio pairs_compare(const double *own, const double *other, uint64_t count)
{
    double *ratios = malloc(count * sizeof *ratios);
    struct pairs_ratio ratio;

    if (!ratios)
        err(1, "pairs");
    for (uint64_t i = 0; i < count; i++)
        ratios[i] = own[i] / other[i];
    ratio.median = program_median(ratios, count);
    ratio.least = ratios[0];
    ratio.greatest = ratios[count - 1];
    free(ratios);
    return ratio;
}
