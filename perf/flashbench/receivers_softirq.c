#include "flashbench/receivers_softirq.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEERING   "/sys/class/net/lo/queues/rx-0/rps_cpus"
#define MASK_BYTES 512
/* The keeper reports CHANGED, or the text of an error. */
#define CHANGED      "\n"
#define REPORT_BYTES 640

static pid_t keeper;      /* the process that changes the setting and puts it back; 0: none */
static int keepers_input; /* the keeper waits for the end of this pipe, which the kernel closes however flashbench ends */

/* The kernel's form of a set of one core: groups of 32 bits in hex, the highest first. */
static void format_mask(unsigned core, char mask[MASK_BYTES])
{
    int length = snprintf(mask, MASK_BYTES, "%x", 1u << core % 32);

    for (unsigned group = 0; group < core / 32; group++)
        length += snprintf(mask + length, MASK_BYTES - (size_t)length, ",00000000");
}

/* Writes the setting. 0 or a negative errno. */
static int write_mask(int file, const char *mask)
{
    size_t length = strlen(mask);

    return pwrite(file, mask, length, 0) == (ssize_t)length ? 0 : -errno;
}

/* Opens the setting, locked for this process alone, and reads it into `old`. Returns the file, or -1 with the reason in `error`. */
static int open_mask(char old[MASK_BYTES], char *error, size_t capacity)
{
    int file = open(STEERING, O_RDWR | O_CLOEXEC);

    if (file < 0 && errno == ENOENT) {
        snprintf(error, capacity, "the kernel has no receive packet steering (there is no " STEERING ")");
        return -1;
    }
    if (file < 0) {
        snprintf(error, capacity, "needs root, to write " STEERING ": %s", strerror(errno));
        return -1;
    }
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        snprintf(error, capacity, "another flashbench has changed " STEERING " until it ends");
        return -1;
    }
    ssize_t length = pread(file, old, MASK_BYTES - 1, 0);
    if (length <= 0) {
        snprintf(error, capacity, "cannot read " STEERING);
        return -1;
    }
    old[length] = '\0';
    return file;
}

/* Changes the setting. Returns its file, or -1 with the reason in `report`. */
static int change_mask(unsigned core, char old[MASK_BYTES], char *report, size_t capacity)
{
    char mask[MASK_BYTES];
    int file = open_mask(old, report, capacity);

    format_mask(core, mask);
    int result = file >= 0 ? write_mask(file, mask) : 0;
    if (result == 0)
        return file;
    snprintf(report, capacity, "cannot write %s into " STEERING ": %s", mask, strerror(-result));
    return -1;
}

/* The keeper's process. It blocks all signals, and ends when flashbench ends. */
static void keep(unsigned core, int input, int answer)
{
    char old[MASK_BYTES], report[REPORT_BYTES] = CHANGED, byte;
    sigset_t all;

    setsid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    int file = change_mask(core, old, report, sizeof report);
    bool is_read = write(answer, report, strlen(report)) > 0;
    close(answer);
    if (file < 0)
        _exit(1);
    while (is_read && read(input, &byte, 1) < 0)
        continue;
    int result = write_mask(file, old);
    if (result != 0)
        fprintf(stderr, "flashbench: cannot put back %.*s into " STEERING ": %s\n", (int)strcspn(old, "\n"), old,
                strerror(-result));
    _exit(result == 0 ? 0 : 1);
}

/* Reads the keeper's report. False if it is an error or empty; `error` then holds the text. */
static bool read_report(int answer, char *error, size_t capacity)
{
    size_t length = 0;
    ssize_t n;

    while (length < capacity - 1 && (n = read(answer, error + length, capacity - 1 - length)) > 0)
        length += (size_t)n;
    error[length] = '\0';
    if (length == 0)
        snprintf(error, capacity, "the process that changes " STEERING " ended");
    return strcmp(error, CHANGED) == 0;
}

bool receivers_softirq_begin(unsigned core, char *error, size_t capacity)
{
    int input[2], answer[2];

    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0 || (keeper = fork()) < 0) {
        snprintf(error, capacity, "%s", strerror(errno));
        return false;
    }
    if (keeper == 0) {
        close(input[1]);
        close(answer[0]);
        keep(core, input[0], answer[1]);
    }
    close(input[0]);
    close(answer[1]);
    keepers_input = input[1];
    bool changed = read_report(answer[0], error, capacity);
    close(answer[0]);
    if (!changed)
        receivers_softirq_end();
    return changed;
}

bool receivers_softirq_end(void)
{
    int status = 0;

    if (keeper <= 0)
        return true;
    close(keepers_input);
    while (waitpid(keeper, &status, 0) < 0 && errno == EINTR)
        continue;
    keeper = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
