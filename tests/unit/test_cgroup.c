/* Where a process's control group lies and what its files say, on texts as real systems have them. */
#include "machine/cgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define V2_MOUNT "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define OTHERS                                        \
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" \
    "23 22 0:21 / /sys rw shared:2 master:1 - sysfs sysfs rw\n"

static struct cgroup_directory directory;

static void assert_found(const char *membership, const char *mountinfo, const char *controller, const char *path)
{
    assert_int_equal(cgroup_find(&directory, membership, mountinfo, controller), 0);
    assert_string_equal(directory.path, path);
}

static void v2_is_the_line_without_controllers(void **state)
{
    (void)state;
    assert_found("0::/system.slice/relay.service\n", OTHERS V2_MOUNT, NULL, "/sys/fs/cgroup/system.slice/relay.service");
    assert_found("4:memory:/x\n0::/y", OTHERS V2_MOUNT, NULL, "/sys/fs/cgroup/y");
    assert_found("0::/\n", V2_MOUNT, NULL, "/sys/fs/cgroup");
    assert_int_equal(cgroup_find(&directory, "4:memory:/x\n", V2_MOUNT, NULL), -ENOENT);
    assert_int_equal(cgroup_find(&directory, "0::/x\n", OTHERS, NULL), -ENOENT);
}

static void v1_is_found_by_its_controller(void **state)
{
    static const char membership[] = "9:name=systemd:/s\n4:memory:/m\n3:cpuset:/no\n2:cpu,cpuacct:/c\n0::/u\n";
    static const char mountinfo[] = OTHERS "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                                           "32 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                           "33 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                                           "34 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    (void)state;
    assert_found(membership, mountinfo, "memory", "/sys/fs/cgroup/memory/m");
    assert_found(membership, mountinfo, "cpu", "/sys/fs/cgroup/cpu,cpuacct/c");
    assert_int_equal(cgroup_find(&directory, membership, mountinfo, "pids"), -ENOENT);
    assert_int_equal(cgroup_find(&directory, membership, mountinfo, NULL), -ENOENT);
}

/* Docker and Kubernetes on v1 mount the container's own group alone, and /proc/self/cgroup still has the host's path. */
static void a_container_sees_its_own_group_at_the_mount_point(void **state)
{
    static const char mountinfo[] = "40 39 0:32 /docker/4f2a /sys/fs/cgroup/memory ro master:5 - cgroup cgroup rw,memory\n";

    (void)state;
    assert_found("4:memory:/docker/4f2a\n", mountinfo, "memory", "/sys/fs/cgroup/memory");
    assert_found("4:memory:/docker/4f2a/inner\n", mountinfo, "memory", "/sys/fs/cgroup/memory/inner");
    assert_found("4:memory:/docker/4f2abc\n", mountinfo, "memory", "/sys/fs/cgroup/memory");
    assert_found("4:memory:/elsewhere\n", mountinfo, "memory", "/sys/fs/cgroup/memory");
}

static void a_group_outside_of_the_namespace_counts_as_the_mount_point(void **state)
{
    (void)state;
    assert_found("0::/../neighbour\n", V2_MOUNT, NULL, "/sys/fs/cgroup");
    assert_found("0::/..\n", V2_MOUNT, NULL, "/sys/fs/cgroup");
    assert_found("0::/..data\n", V2_MOUNT, NULL, "/sys/fs/cgroup/..data");
}

static void of_several_mounts_the_one_with_the_group_is_taken(void **state)
{
    static const char mountinfo[] = "40 39 0:26 /other /mnt/a rw - cgroup2 cgroup2 rw\n"
                                    "41 39 0:26 / /mnt/b rw - cgroup2 cgroup2 rw\n"
                                    "42 39 0:26 /third /mnt/c rw - cgroup2 cgroup2 rw\n";

    (void)state;
    assert_found("0::/here\n", mountinfo, NULL, "/mnt/b/here");
}

static void letters_of_mount_points_are_unescaped(void **state)
{
    (void)state;
    assert_found("0::/a\\x2db\n", "29 23 0:26 / /mnt/with\\040blank\\134 rw - cgroup2 cgroup2 rw\n", NULL,
                 "/mnt/with blank\\/a\\x2db");
    assert_found("0::/a\\x2db/c\n", "29 23 0:26 /a\\134x2db /mnt rw - cgroup2 cgroup2 rw\n", NULL, "/mnt/c");
}

static void broken_texts_find_nothing(void **state)
{
    static const char *const mounts[] = {"",
                                         "\n\n",
                                         "29",
                                         "29 23 0:26 / /mnt",
                                         "29 23 0:26 / /mnt rw",
                                         "29 23 0:26 / /mnt rw -",
                                         "29 23 0:26 / /mnt rw - cgroup2"};
    static const char *const memberships[] = {"", "\n", ":", "::", "0", "0:", "0:x", "0:memory"};
    char long_path[2 * PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++)
        assert_int_equal(cgroup_find(&directory, "0::/x\n", mounts[i], NULL), -ENOENT);
    for (size_t i = 1; i < sizeof memberships / sizeof memberships[0]; i++)
        assert_int_equal(cgroup_find(&directory, memberships[i], V2_MOUNT, "cpu"), -ENOENT);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    memcpy(long_path, "0::/", 4);
    assert_int_equal(cgroup_find(&directory, long_path, V2_MOUNT, NULL), -ENOENT);
    long_path[PATH_MAX] = '\0';
    assert_int_equal(cgroup_find(&directory, long_path, V2_MOUNT, NULL), -ENAMETOOLONG);
}

static void the_way_up_ends_at_the_mount_point(void **state)
{
    (void)state;
    assert_found("0::/a/b\n", V2_MOUNT, NULL, "/sys/fs/cgroup/a/b");
    assert_true(cgroup_ascend(&directory));
    assert_string_equal(directory.path, "/sys/fs/cgroup/a");
    assert_true(cgroup_ascend(&directory));
    assert_string_equal(directory.path, "/sys/fs/cgroup");
    assert_false(cgroup_ascend(&directory));
    assert_string_equal(directory.path, "/sys/fs/cgroup");
    assert_found("0::/a\n", "29 23 0:26 / / rw - cgroup2 cgroup2 rw\n", NULL, "/a");
    assert_true(cgroup_ascend(&directory));
    assert_false(cgroup_ascend(&directory));
}

static void memory_limits(void **state)
{
    (void)state;
    assert_int_equal(cgroup_parse_bytes("134217728\n"), 134217728);
    assert_int_equal(cgroup_parse_bytes("0\n"), 0);
    assert_int_equal(cgroup_parse_bytes("9223372036854771712\n"), UINT64_C(9223372036854771712));
    assert_int_equal(cgroup_parse_bytes("max\n"), UINT64_MAX);
    assert_int_equal(cgroup_parse_bytes("-1\n"), UINT64_MAX);
    assert_int_equal(cgroup_parse_bytes(""), UINT64_MAX);
    assert_int_equal(cgroup_parse_bytes("12 bananas"), UINT64_MAX);
    assert_int_equal(cgroup_parse_bytes("99999999999999999999999"), UINT64_MAX);
}

static void processor_quotas(void **state)
{
    (void)state;
    assert_int_equal(cgroup_parse_quota("250000 100000\n", NULL), 2500);
    assert_int_equal(cgroup_parse_quota("max 100000\n", NULL), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("50000", NULL), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("50000\n", "100000\n"), 500);
    assert_int_equal(cgroup_parse_quota("-1\n", "100000\n"), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("0\n", "100000\n"), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("100000\n", "0\n"), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("", ""), UINT64_MAX);
    assert_int_equal(cgroup_parse_quota("99999999999999999999 1", NULL), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v2_is_the_line_without_controllers),
        cmocka_unit_test(v1_is_found_by_its_controller),
        cmocka_unit_test(a_container_sees_its_own_group_at_the_mount_point),
        cmocka_unit_test(a_group_outside_of_the_namespace_counts_as_the_mount_point),
        cmocka_unit_test(of_several_mounts_the_one_with_the_group_is_taken),
        cmocka_unit_test(letters_of_mount_points_are_unescaped),
        cmocka_unit_test(broken_texts_find_nothing),
        cmocka_unit_test(the_way_up_ends_at_the_mount_point),
        cmocka_unit_test(memory_limits),
        cmocka_unit_test(processor_quotas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
