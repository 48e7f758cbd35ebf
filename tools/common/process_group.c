#include "common/process_group.h"

#include "common/proc.h"
#include "flashrelay/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct group_walk {
    pid_t group;
    void (*visit)(pid_t pid, void *context);
    void *context;
};

/* The text of /proc/PID/stat behind the process's name, which may hold anything; NULL if there is no such process. */
static const char *read_stat(pid_t pid, char *text, size_t capacity)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return proc_read(path, text, capacity) ? strrchr(text, ')') : NULL;
}

static void visit_member(pid_t pid, void *context)
{
    const struct group_walk *walk = context;
    char text[512];
    const char *stat = read_stat(pid, text, sizeof text);
    int group;

    if (stat && sscanf(stat, ") %*c %*d %d", &group) == 1 && group == walk->group)
        walk->visit(pid, walk->context);
}

void process_group_for_each(pid_t group, void (*visit)(pid_t pid, void *context), void *context)
{
    struct group_walk walk = {group, visit, context};

    proc_for_each_id("/proc", visit_member, &walk);
}

/* --- CPU --- */

static void add_cpu(pid_t pid, void *context)
{
    *(uint64_t *)context += proc_cpu_ns(pid);
}

/* Adds cutime and cstime: the CPU time of children that ended and were waited for. */
static void add_children_cpu(pid_t pid, void *context)
{
    uint64_t user, system, per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    char text[512];
    const char *stat = read_stat(pid, text, sizeof text);

    if (stat && sscanf(stat, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user, &system) == 2)
        *(uint64_t *)context += (user + system) * (NS_PER_S / per_second);
}

/* The times of ended children are read first: a child that ends in between is missing from this sum, but never counted twice. */
uint64_t process_group_cpu_ns(pid_t group)
{
    uint64_t cpu_ns = 0;

    process_group_for_each(group, add_children_cpu, &cpu_ns);
    process_group_for_each(group, add_cpu, &cpu_ns);
    return cpu_ns;
}

/* --- memory --- */

static void add_memory(pid_t pid, void *context)
{
    struct process_memory *memory = context;
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    if (!proc_read(path, text, sizeof text))
        return;
    memory->rss_bytes += proc_find_number(text, "\nRss:") * 1024;
    memory->pss_bytes += proc_find_number(text, "\nPss:") * 1024;
    memory->huge_bytes += (proc_find_number(text, "\nShared_Hugetlb:") + proc_find_number(text, "\nPrivate_Hugetlb:")) * 1024;
}

bool process_group_memory(pid_t group, struct process_memory *memory)
{
    *memory = (struct process_memory){0};
    process_group_for_each(group, add_memory, memory);
    return memory->rss_bytes > 0;
}

/* --- cores and names --- */

static void add_thread_cores(pid_t thread, void *context)
{
    cpu_set_t allowed;

    if (sched_getaffinity(thread, sizeof allowed, &allowed) == 0)
        CPU_OR((cpu_set_t *)context, (cpu_set_t *)context, &allowed);
}

static void add_process_cores(pid_t pid, void *context)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    proc_for_each_id(path, add_thread_cores, context);
}

void process_group_cores(pid_t group, cpu_set_t *cores)
{
    CPU_ZERO(cores);
    process_group_for_each(group, add_process_cores, cores);
}

struct names {
    char *text;
    size_t capacity;
    unsigned processes;
};

/* True if `name` is one of the names in `list`. */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *item = list; item; item = strstr(item, ", ")) {
        item += item == list ? 0 : 2;
        if (strncmp(item, name, length) == 0 && (item[length] == '\0' || item[length] == ','))
            return true;
    }
    return false;
}

static void add_name(pid_t pid, void *context)
{
    struct names *names = context;
    char path[64], name[64];
    size_t length = strlen(names->text);

    names->processes++;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (!proc_read(path, name, sizeof name))
        return;
    name[strcspn(name, "\n")] = '\0';
    if (!is_listed(names->text, name))
        snprintf(names->text + length, names->capacity - length, "%s%s", length > 0 ? ", " : "", name);
}

unsigned process_group_names(pid_t group, char *text, size_t capacity)
{
    struct names names = {text, capacity, 0};

    text[0] = '\0';
    process_group_for_each(group, add_name, &names);
    return names.processes;
}
