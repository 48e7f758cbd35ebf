#include "common/process.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
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

/* The child's part between fork and exec. Writes the errno to `report` if exec failed. */
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
    else if (read(report[0], &error, sizeof error) > 0) /* reads nothing if exec succeeded */
        waitpid(process->pid, NULL, 0);
    close(report[0]);
    if (error != 0)
        process->pid = 0;
    else
        setpgid(process->pid, process->pid); /* the child does it, too, so that neither has to wait for the other */
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
