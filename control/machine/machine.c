#include "machine/machine.h"

#include "machine/affinity.h"
#include "machine/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for a number in a file of a group, and for a text about a process: mountinfo has one line per mount. */
#define VALUE_BYTES 64
#define TEXT_BYTES  (1 << 20)

static uint64_t count_processors(void)
{
    size_t bytes;
    cpu_set_t *allowed = affinity_read(&bytes);
    uint64_t count = allowed ? (uint64_t)CPU_COUNT_S(bytes, allowed) : 0;

    if (allowed)
        CPU_FREE(allowed);
    return count > 0 ? count : 1;
}

/* Reads a file into `text`; empty if there is none. */
static const char *read_text(char *text, size_t capacity, const char *root, const char *directory, const char *name)
{
    char path[2 * PATH_MAX];
    size_t length = 0;
    FILE *file = NULL;

    if (snprintf(path, sizeof path, "%s%s/%s", root, directory, name) < (int)sizeof path)
        file = fopen(path, "re");
    if (file) {
        length = fread(text, 1, capacity - 1, file);
        fclose(file);
    }
    text[length] = '\0';
    return text;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Reads limits in one group's directory, and keeps in the machine the lower of each and what it has. */
typedef void group_reader(struct machine *machine, const char *root, const char *directory);

static void read_memory_v1(struct machine *machine, const char *root, const char *directory)
{
    char text[VALUE_BYTES];
    uint64_t bytes = cgroup_parse_bytes(read_text(text, sizeof text, root, directory, "memory.limit_in_bytes"));

    machine->memory_limit_bytes = least(machine->memory_limit_bytes, bytes);
}

static void read_quota_v1(struct machine *machine, const char *root, const char *directory)
{
    char quota[VALUE_BYTES], period[VALUE_BYTES];

    read_text(quota, sizeof quota, root, directory, "cpu.cfs_quota_us");
    read_text(period, sizeof period, root, directory, "cpu.cfs_period_us");
    machine->quota_millis = least(machine->quota_millis, cgroup_parse_quota(quota, period));
}

static void read_v2(struct machine *machine, const char *root, const char *directory)
{
    char text[VALUE_BYTES];
    uint64_t bytes = cgroup_parse_bytes(read_text(text, sizeof text, root, directory, "memory.max"));

    machine->memory_limit_bytes = least(machine->memory_limit_bytes, bytes);
    machine->quota_millis =
        least(machine->quota_millis, cgroup_parse_quota(read_text(text, sizeof text, root, directory, "cpu.max"), NULL));
}

/* The texts of /proc about this process. */
struct process_texts {
    char membership[TEXT_BYTES], mountinfo[TEXT_BYTES];
};

static void read_groups(struct machine *machine, const char *root, const struct process_texts *texts, const char *controller,
                        group_reader *read)
{
    struct cgroup_directory directory;

    if (cgroup_find(&directory, texts->membership, texts->mountinfo, controller) != 0)
        return;
    do
        read(machine, root, directory.path);
    while (cgroup_ascend(&directory));
}

void machine_read(struct machine *machine, const char *root)
{
    struct process_texts *texts = malloc(sizeof *texts);

    *machine = (struct machine){count_processors(), UINT64_MAX, UINT64_MAX};
    if (!texts)
        return;
    read_text(texts->membership, sizeof texts->membership, root, "/proc/self", "cgroup");
    read_text(texts->mountinfo, sizeof texts->mountinfo, root, "/proc/self", "mountinfo");
    read_groups(machine, root, texts, "memory", read_memory_v1);
    read_groups(machine, root, texts, "cpu", read_quota_v1);
    read_groups(machine, root, texts, NULL, read_v2);
    free(texts);
}
