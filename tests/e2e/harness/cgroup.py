"""A control group of the tests' own with a limit on memory, of version 1 or 2, whichever this machine has."""
import os
from pathlib import Path

from . import eventually


class NoGroup(Exception):
    """No control group can be made; the text says why."""


def _own_path(controllers):
    """The path of this process's group in the hierarchy with this controller, "" for version 2; None if there is no such hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controllers in names.split(","):
            return path.lstrip("/")
    return None


def _mount_point(kind, option):
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, system = (part.split() for part in line.split(" - "))
        if system[0] == kind and option in system[2].split(",") and mount[3] == "/":
            return Path(mount[4])
    return None


def _find_v1():
    point, path = _mount_point("cgroup", "memory"), _own_path("memory")
    return point / path if point and path is not None else None


def _find_v2():
    """The nearest group, from this process's upwards, that can limit the memory of its children; a group that has processes cannot."""
    point, path = _mount_point("cgroup2", "rw"), _own_path("")
    if point is None or path is None:
        return None
    for folder in (point / path, *(point / path).parents):
        if (folder / "cgroup.subtree_control").exists() and "memory" in (folder / "cgroup.subtree_control").read_text().split():
            return folder
        if folder == point:
            return None
    return None


class MemoryGroup:
    """
    A new group without processes, below this process's own group where that is possible; a process enters it by writing 0 to the file
    `processes`.
    """

    def __init__(self, limit_bytes):
        parent, self.is_v1 = _find_v1(), True
        if parent is None:
            parent, self.is_v1 = _find_v2(), False
        if parent is None:
            raise NoGroup("no control group here limits memory")
        self.folder = parent / f"flashrelay-test-{os.getpid()}"
        try:
            self.folder.mkdir()
        except OSError as error:
            raise NoGroup(f"control groups cannot be made here: {error}") from None
        self.processes = self.folder / "cgroup.procs"
        try:
            (self.folder / ("memory.limit_in_bytes" if self.is_v1 else "memory.max")).write_text(str(limit_bytes))
        except OSError as error:
            self.remove()
            raise NoGroup(f"control groups here cannot limit memory: {error}") from None

    def kills(self):
        """How many processes were killed because the group had no memory left."""
        text = (self.folder / ("memory.oom_control" if self.is_v1 else "memory.events")).read_text()
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])

    def remove(self):
        """Removes the group, whose processes must have ended; waits until the group has noticed that they have."""
        def removed():
            try:
                self.folder.rmdir()
            except OSError:
                return False
            return True

        eventually(removed, f"{self.folder} to be empty")
