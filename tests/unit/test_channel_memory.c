/*
 * On which pages a log lies where the system's pool has huge pages. The tests lend the pool some, which only root may do, and use them in a
 * child process, which is allowed to use them or not.
 */
#include "channel/memory.h"
#include "support/channels.h"
#include "support/must.h"
#include "support/skip.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

enum { LOG_BYTES = 8 << 20, LOG_PAGES = LOG_BYTES / HUGE_PAGE_BYTES, NOT_RESTRICTED = 100 };

/* --- files of the kernel --- */

static int write_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC), error = 0;

    if (file < 0)
        return -errno;
    if (write(file, text, strlen(text)) < 0)
        error = -errno;
    close(file);
    return error;
}

/* Writes what the file says into `text`, nothing if it can't be read. */
static void read_text(const char *path, char *text, size_t capacity)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, capacity - 1);

    text[length > 0 ? length : 0] = '\0';
    if (file >= 0)
        close(file);
}

/* --- the pool --- */

static char pages_before[32];

static int return_pages(void **state)
{
    (void)state;
    if (pages_before[0])
        write_text(POOL, pages_before);
    pages_before[0] = '\0';
    return 0;
}

static bool pool_has_pages(void)
{
    void *memory = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    if (memory == MAP_FAILED)
        return false;
    munmap(memory, LOG_BYTES);
    return true;
}

/* Gives the pool enough pages for a log until the end of the test, or skips the test. */
static void lend_pages(void)
{
    char wanted[32];

    read_text(POOL, pages_before, sizeof pages_before);
    snprintf(wanted, sizeof wanted, "%lu", strtoul(pages_before, NULL, 10) + LOG_PAGES);
    if (!pages_before[0] || write_text(POOL, wanted) != 0)
        skip_because("the pool of huge pages cannot be changed here: only root may do that");
    if (!pool_has_pages())
        skip_because("the pool of huge pages cannot grow here");
}

/* --- a child that uses a log --- */

/* Fills a log; returns the kind of its pages. */
static enum channel_pages fill_log(void)
{
    static struct channel_marks marks;
    struct channel *channel = make_channel(&marks, 0, LOG_BYTES, 16);
    struct channel_figures figures;

    for (uint64_t sequence = 1; sequence <= 7; sequence++)
        must(append_filled(channel, sequence, 1 << 20, 0) == 0);
    channel_figures_get(channel, &figures);
    channel_destroy(channel);
    return figures.pages;
}

/* The kind of pages of a log in a child that `restrict_child` returned 0 for; skips the test if it did not. */
static enum channel_pages pages_in_child(int (*restrict_child)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); /* cmocka's handler would go on with the tests */
        _exit(restrict_child() == 0 ? (int)fill_log() : NOT_RESTRICTED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status))
        fail_msg("the child that fills a log was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == NOT_RESTRICTED)
        skip_because("the child cannot be kept from using huge pages here");
    return (enum channel_pages)WEXITSTATUS(status);
}

/* --- pages that may be used --- */

static void a_log_lies_on_pages_of_the_pool(void **state)
{
    struct channel_memory memory;

    (void)state;
    lend_pages();
    assert_int_equal(channel_memory_memfd.map(NULL, &memory, LOG_BYTES), 0);
    channel_memory_memfd.unmap(NULL, &memory);
    assert_int_equal(memory.pages, CHANNEL_PAGES_HUGE);
    assert_int_equal(memory.populated_bytes, LOG_BYTES);
}

/* --- pages that may not be used --- */

/* Makes the kernel refuse to populate memory, as it does where it can't give the pages. */
static int forbid_population(void)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_POPULATE_WRITE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof instructions / sizeof instructions[0], .filter = instructions};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) : -1;
}

static void pages_of_the_pool_that_cannot_be_populated_are_not_used(void **state)
{
    (void)state;
    lend_pages();
    assert_int_not_equal(pages_in_child(forbid_population), CHANNEL_PAGES_HUGE);
}

/* Where control groups with a limit on huge pages may be mounted, of version 2 or 1, and the name of the limit. */
static const struct group_place {
    const char *folder, *limit;
} places[] = {
    {"/sys/fs/cgroup", "hugetlb.2MB.max"},
    {"/sys/fs/cgroup/unified", "hugetlb.2MB.max"},
    {"/sys/fs/cgroup/hugetlb", "hugetlb.2MB.limit_in_bytes"},
};

static char group[64];
static char
    controllers[128]; /* the file that enabled the controller for the group; empty if it was enabled before, as in version 1 */

static void name_in(char path[128], const char *folder, const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

/* Creates a control group whose processes may not use pages of the pool, though they may reserve them. */
static bool create_group_at(const struct group_place *place)
{
    char path[128], enabled[256];

    name_in(controllers, place->folder, "cgroup.subtree_control");
    read_text(controllers, enabled, sizeof enabled);
    if (strstr(enabled, "hugetlb") || write_text(controllers, "+hugetlb") != 0)
        controllers[0] = '\0';
    snprintf(group, sizeof group, "%s/flashrelay-test-%d", place->folder, (int)getpid());
    if (mkdir(group, 0700) != 0)
        return false;
    name_in(path, group, place->limit);
    if (write_text(path, "0") == 0)
        return true;
    rmdir(group);
    return false;
}

static bool create_group(void)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (create_group_at(&places[i]))
            return true;
    return false;
}

static int enter_group(void)
{
    char path[128];

    name_in(path, group, "cgroup.procs");
    return write_text(path, "0");
}

static int remove_group_and_return_pages(void **state)
{
    /* The group may not have noticed yet that its process has ended. */
    for (unsigned tries = 0; group[0] && rmdir(group) != 0 && tries < 5000; tries++)
        usleep(1000);
    if (controllers[0])
        write_text(controllers, "-hugetlb");
    group[0] = controllers[0] = '\0';
    return return_pages(state);
}

/* The kernel lets such a process map pages of the pool, and sends SIGBUS when it writes to them. */
static void pages_of_the_pool_that_a_container_may_not_use_are_not_used(void **state)
{
    (void)state;
    lend_pages();
    if (!create_group())
        skip_because("no control group here limits huge pages");
    assert_int_not_equal(pages_in_child(enter_group), CHANNEL_PAGES_HUGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_log_lies_on_pages_of_the_pool, return_pages),
        cmocka_unit_test_teardown(pages_of_the_pool_that_cannot_be_populated_are_not_used, return_pages),
        cmocka_unit_test_teardown(pages_of_the_pool_that_a_container_may_not_use_are_not_used, remove_group_and_return_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
