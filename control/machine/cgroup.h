/*
 * The texts of Linux's control groups, v1 and v2 (cgroups(7), proc_pid_cgroup(5), proc_pid_mountinfo(5)): where a process's group
 * lies in the file system, and what it may use. No I/O.
 */
#ifndef CONTROL_MACHINE_CGROUP_H
#define CONTROL_MACHINE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A group's directory, and how much of the path is the hierarchy's mount point. */
struct cgroup_directory {
    char path[PATH_MAX];
    size_t mount_point_length;
};

/*
 * Finds the group's directory in the hierarchy that has `controller` ("cpu", "memory"; NULL: the one of v2), from the texts of
 * /proc/self/cgroup and /proc/self/mountinfo. For a group outside of what is mounted, as seen from inside a container, it is the mount
 * point. 0; -ENOENT if there is no such hierarchy or it is not mounted; -ENAMETOOLONG.
 */
int cgroup_find(struct cgroup_directory *directory, const char *membership, const char *mountinfo, const char *controller);

/* Goes to the group above; false at the mount point. */
bool cgroup_ascend(struct cgroup_directory *directory);

/* The bytes in memory.max (v2) or memory.limit_in_bytes (v1); UINT64_MAX, no limit, for "max" and for what is no number. */
uint64_t cgroup_parse_bytes(const char *text);

/*
 * Thousandths of a processor, from the texts of cpu.cfs_quota_us and cpu.cfs_period_us (v1), or with `period` NULL from that of
 * cpu.max (v2), which has both. UINT64_MAX, no limit, for "max", -1, and for what is no quota.
 */
uint64_t cgroup_parse_quota(const char *quota, const char *period);

#endif
