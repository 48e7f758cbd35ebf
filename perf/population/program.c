#include "population/program.h"

#include "population/population.h"

#include <rte_eal.h>

#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned first_cpu(void)
{
    cpu_set_t allowed;
    unsigned cpu = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        err(1, "sched_getaffinity");
    while (!CPU_ISSET(cpu, &allowed))
        cpu++;
    return cpu;
}

void program_start_eal(const struct program_eal *options)
{
    static char program[32], cpu[16], mebibytes[16]; /* EAL keeps pointers into its arguments */
    static char *arguments[16];
    char *huge[] = {"--in-memory"}, *plain[] = {"--no-huge", "--no-shconf", "-m", mebibytes};
    char **memory = options->huge ? huge : plain;
    int count = 0, memory_count = options->huge ? 1 : 4;

    snprintf(program, sizeof program, "%s", options->program);
    snprintf(cpu, sizeof cpu, "%u", options->cpu == PROGRAM_FIRST_CPU ? first_cpu() : (unsigned)options->cpu);
    snprintf(mebibytes, sizeof mebibytes, "%u", options->plain_mebibytes);
    arguments[count++] = program;
    for (int i = 0; i < memory_count; i++)
        arguments[count++] = memory[i];
    arguments[count++] = "--no-pci";
    arguments[count++] = "--no-telemetry";
    arguments[count++] = "--log-level=lib.*:error";
    arguments[count++] = "-l";
    arguments[count++] = cpu;
    if (rte_eal_init(count, arguments) < 0)
        errx(1, "DPDK does not start%s", options->huge ? ": are there huge pages in /proc/sys/vm/nr_hugepages?" : "");
}

unsigned program_parse_acks(const struct command_line *line, const char *text)
{
    char *end;
    unsigned long value;

    if (strcmp(text, "burst") == 0)
        return POPULATION_ACK_PER_BURST;
    value = strtoul(text, &end, 10);
    if (*end != '\0' || value < 1 || value > UINT8_MAX)
        command_line_fail(line, "--acks \"%s\": expected 1 to %d, or burst", text, UINT8_MAX);
    return (unsigned)value;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double program_median(double *values, uint64_t count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
