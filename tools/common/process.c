#include "common/process.h"

#include "flashrelay/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void keep_to_cores(const int *cores, unsigned core_count)
{
    cpu_set_t set;

    if (!cores || core_count == 0)
        return;
    CPU_ZERO(&set);
    for (unsigned i = 0; i < core_count; i++)
        CPU_SET((size_t)cores[i], &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* The child's part between fork and exec; tells `report` why exec failed. */
static void run_child(const struct process_options *options, int report)
{
    sigset_t none;
    int error;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    keep_to_cores(options->cores, options->core_count);
    if (options->output >= 0) {
        dup2(options->output, STDOUT_FILENO);
        dup2(options->output, STDERR_FILENO);
    }
    execvp(options->arguments[0], options->arguments);
    error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

int process_start(struct process *process, const struct process_options *options)
{
    int report[2];
    int error = 0;

    *process = (struct process){0};
    if (pipe2(report, O_CLOEXEC) != 0)
        return -errno;
    process->pid = fork();
    if (process->pid == 0)
        run_child(options, report[1]);
    close(report[1]);
    if (process->pid < 0)
        error = errno;
    else if (read(report[0], &error, sizeof error) > 0) /* nothing comes if exec went well */
        waitpid(process->pid, NULL, 0);
    close(report[0]);
    if (error != 0)
        process->pid = 0;
    else
        setpgid(process->pid, process->pid); /* done twice, so that neither side has to wait for the other */
    return -error;
}

bool process_is_running(struct process *process)
{
    if (process->pid == 0 || waitpid(process->pid, &process->status, WNOHANG) == 0)
        return process->pid != 0;
    kill(-process->pid, SIGKILL);
    process->pid = 0;
    return false;
}

bool process_stop(struct process *process, unsigned patience_ms)
{
    uint64_t deadline_ns = clock_monotonic_ns() + patience_ms * NS_PER_MS;

    if (!process_is_running(process))
        return WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0;
    kill(process->pid, SIGTERM);
    while (process_is_running(process)) {
        if (clock_monotonic_ns() >= deadline_ns)
            kill(-process->pid, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 5 * (long)NS_PER_MS}, NULL);
    }
    return WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0;
}

uint64_t process_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

uint16_t process_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (descriptor < 0)
        return 0;
    if (bind(descriptor, (struct sockaddr *)&address, length) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &length) != 0)
        address.sin_port = 0;
    close(descriptor);
    return ntohs(address.sin_port);
}

/* Reads a small file of /proc whole, with a terminator. False if it is not there (any more). */
static bool read_text(const char *path, char *text, size_t capacity)
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

/* Calls `visit` for every numeric entry of a folder of /proc. */
static void for_each_id(const char *folder, void (*visit)(pid_t id, void *context), void *context)
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

/* First figure of a schedstat: ns spent on a CPU. */
static uint64_t read_schedstat(const char *path)
{
    char text[128];

    return read_text(path, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

struct group_sum {
    pid_t group, process;
    void (*visit_thread)(pid_t thread, void *sum);
    uint64_t cpu_ns, wait_ns, voluntary, involuntary;
};

static void add_cpu(pid_t thread, void *context)
{
    struct group_sum *sum = context;
    char path[64], text[128];
    uint64_t cpu_ns, wait_ns;

    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)sum->process, (int)thread);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%" SCNu64 " %" SCNu64, &cpu_ns, &wait_ns) != 2)
        return;
    sum->cpu_ns += cpu_ns;
    sum->wait_ns += wait_ns;
}

/* The figure after a name in a status file. */
static uint64_t find_number(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

static void add_switches(pid_t thread, void *context)
{
    struct group_sum *sum = context;
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)sum->process, (int)thread);
    if (!read_text(path, text, sizeof text))
        return;
    sum->voluntary += find_number(text, "\nvoluntary_ctxt_switches:");
    sum->involuntary += find_number(text, "\nnonvoluntary_ctxt_switches:");
}

static void add_process_of_group(pid_t pid, void *context)
{
    struct group_sum *sum = context;
    char path[64], text[512];
    const char *after_name;
    int group;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof text))
        return;
    after_name = strrchr(text, ')'); /* the name before it may hold anything */
    if (!after_name || sscanf(after_name, ") %*c %*d %d", &group) != 1 || group != sum->group)
        return;
    sum->process = pid;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    for_each_id(path, sum->visit_thread, sum);
}

uint64_t process_group_cpu_ns(pid_t pid)
{
    struct group_sum sum = {.group = pid, .visit_thread = add_cpu};

    for_each_id("/proc", add_process_of_group, &sum);
    return sum.cpu_ns;
}

uint64_t process_group_wait_ns(pid_t pid)
{
    struct group_sum sum = {.group = pid, .visit_thread = add_cpu};

    for_each_id("/proc", add_process_of_group, &sum);
    return sum.wait_ns;
}

void process_group_switches(pid_t pid, uint64_t *voluntary, uint64_t *involuntary)
{
    struct group_sum sum = {.group = pid, .visit_thread = add_switches};

    for_each_id("/proc", add_process_of_group, &sum);
    *voluntary = sum.voluntary;
    *involuntary = sum.involuntary;
}

struct softirq_sum {
    const int *cores;
    unsigned core_count;
    uint64_t ns;
};

static bool is_among(int core, const int *cores, unsigned core_count)
{
    for (unsigned i = 0; i < core_count; i++) {
        if (cores[i] == core)
            return true;
    }
    return !cores;
}

static void add_softirq_thread(pid_t pid, void *context)
{
    struct softirq_sum *sum = context;
    char path[64], name[64];
    int core;

    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (!read_text(path, name, sizeof name) || sscanf(name, "ksoftirqd/%d", &core) != 1)
        return;
    if (!is_among(core, sum->cores, sum->core_count))
        return;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    sum->ns += read_schedstat(path);
}

uint64_t process_softirq_cpu_ns(const int *cores, unsigned core_count)
{
    struct softirq_sum sum = {.cores = cores, .core_count = core_count};

    for_each_id("/proc", add_softirq_thread, &sum);
    return sum.ns;
}

/* The figure of a line "Name:   123 kB", in bytes; 0 if there is no such line. */
static uint64_t find_kilobytes(const char *text, const char *name)
{
    return find_number(text, name) * 1024;
}

int process_memory_get(pid_t pid, struct process_memory *memory)
{
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    if (!read_text(path, text, sizeof text))
        return -errno;
    memory->rss_bytes = find_kilobytes(text, "\nRss:");
    memory->pss_bytes = find_kilobytes(text, "\nPss:");
    memory->huge_bytes = find_kilobytes(text, "\nShared_Hugetlb:") + find_kilobytes(text, "\nPrivate_Hugetlb:");
    return 0;
}
