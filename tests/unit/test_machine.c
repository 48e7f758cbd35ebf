/* What machine_read finds out about a machine: here trees of files stand for /proc and the control groups. */
#include "machine/machine.h"

#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ROOT_TEMPLATE "/tmp/flashrelay-machine-XXXXXX"

static char root[sizeof ROOT_TEMPLATE];
static struct machine machine;

static int make_root(void **state)
{
    (void)state;
    strcpy(root, ROOT_TEMPLATE);
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Makes a file below the root, with all its parent directories. */
static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + sizeof ROOT_TEMPLATE, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void v2_takes_the_least_on_the_way_up(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "0::/a/b/c\n");
    write_file("/proc/self/mountinfo", "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    write_file("/cg/a/b/c/memory.max", "max\n");
    write_file("/cg/a/b/c/cpu.max", "400000 100000\n");
    write_file("/cg/a/b/memory.max", "134217728\n");
    write_file("/cg/a/b/cpu.max", "max 100000\n");
    write_file("/cg/a/memory.max", "268435456\n");
    write_file("/cg/a/cpu.max", "25000 10000\n");
    machine_read(&machine, root);
    assert_int_equal(machine.memory_limit_bytes, 134217728);
    assert_int_equal(machine.quota_millis, 2500);
}

static void v1_takes_the_least_of_each_hierarchy(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "4:memory:/pod/box\n2:cpu,cpuacct:/pod\n0::/\n");
    write_file("/proc/self/mountinfo", "32 31 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n"
                                       "33 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                                       "34 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    write_file("/cg/memory/pod/box/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/cg/memory/pod/memory.limit_in_bytes", "100000000\n");
    write_file("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/cg/cpu/pod/cpu.cfs_quota_us", "150000\n");
    write_file("/cg/cpu/pod/cpu.cfs_period_us", "100000\n");
    write_file("/cg/cpu/cpu.cfs_quota_us", "-1\n");
    write_file("/cg/cpu/cpu.cfs_period_us", "100000\n");
    machine_read(&machine, root);
    assert_int_equal(machine.memory_limit_bytes, 100000000);
    assert_int_equal(machine.quota_millis, 1500);
}

/* Where both versions of control groups are mounted, each controller is in one of them. */
static void both_versions_count(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "2:cpu:/x\n0::/y\n");
    write_file("/proc/self/mountinfo", "33 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu\n34 31 0:38 / /cg/u rw - cgroup2 c rw\n");
    write_file("/cg/cpu/x/cpu.cfs_quota_us", "300000\n");
    write_file("/cg/cpu/x/cpu.cfs_period_us", "100000\n");
    write_file("/cg/u/y/memory.max", "5000000\n");
    machine_read(&machine, root);
    assert_int_equal(machine.memory_limit_bytes, 5000000);
    assert_int_equal(machine.quota_millis, 3000);
}

static void without_groups_there_is_no_limit(void **state)
{
    (void)state;
    machine_read(&machine, root);
    assert_int_equal(machine.memory_limit_bytes, UINT64_MAX);
    assert_int_equal(machine.quota_millis, UINT64_MAX);
}

static void processors_are_those_of_the_affinity(void **state)
{
    cpu_set_t before, one;
    unsigned first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    machine_read(&machine, root);
    assert_int_equal(machine.processors, CPU_COUNT(&before));
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    machine_read(&machine, root);
    assert_int_equal(machine.processors, 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(v2_takes_the_least_on_the_way_up, make_root, remove_root),
        cmocka_unit_test_setup_teardown(v1_takes_the_least_of_each_hierarchy, make_root, remove_root),
        cmocka_unit_test_setup_teardown(both_versions_count, make_root, remove_root),
        cmocka_unit_test_setup_teardown(without_groups_there_is_no_limit, make_root, remove_root),
        cmocka_unit_test_setup_teardown(processors_are_those_of_the_affinity, make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
