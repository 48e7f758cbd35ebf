/* Simulates the TCP engine on a wire with faults, one seed after another. A failure is printed with the command that repeats it. */
#include "tcp_sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(void)
{
    fputs("usage: tcp_sim [--seeds COUNT] [--first SEED] [--seed SEED]\n", stderr);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;

    if (!text || end == text || *end != '\0')
        usage();
    return value;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 1000;

    for (int i = 1; i < argc; i += 2) {
        uint64_t value = number(argv[i + 1]);

        if (strcmp(argv[i], "--seeds") == 0)
            count = value;
        else if (strcmp(argv[i], "--first") == 0)
            first = value;
        else if (strcmp(argv[i], "--seed") == 0)
            first = value, count = 1;
        else
            usage();
    }
    for (uint64_t seed = first; seed < first + count; seed++)
        world_run(seed);
    printf("%" PRIu64 " seeds passed\n", count);
    return 0;
}
