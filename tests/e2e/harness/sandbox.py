"""
Runs a program where some system calls are forbidden, as the default profiles of Docker, containerd and GKE forbid io_uring:
`python3 sandbox.py ERRNO CALL[,CALL...] PROGRAM ARGUMENT...`. Needs no privilege.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

# Numbers from 424 on are the same on all architectures.
CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "epoll_pwait2": 441}
IO_URING = ("io_uring_setup", "io_uring_enter", "io_uring_register")

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06 # BPF: ld [k]; jeq k, true, false; ret k
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def command_without_calls(calls, error=errno.EPERM):
    """The beginning of a command that is to run where these system calls fail with `error`."""
    return [sys.executable, __file__, str(error), ",".join(calls)]


def _instruction(code, operand, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, operand)


def _filter(calls, error):
    """BPF instructions that fail these calls. In struct seccomp_data the call's number is at offset 0, the architecture at offset 4."""
    checks = [_instruction(_JUMP_IF_EQUAL, CALLS[call], len(calls) - index, 0) for index, call in enumerate(calls)]
    return b"".join([
        _instruction(_LOAD, 4), _instruction(_JUMP_IF_EQUAL, _ARCHITECTURES[platform.machine()], 0, len(calls) + 1),
        _instruction(_LOAD, 0), *checks, _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _FAIL_WITH | error)])


def _forbid(calls, error):
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = _filter(calls, error)
    program = _Program(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"the sandbox cannot be entered: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    _forbid(sys.argv[2].split(","), int(sys.argv[1]))
    os.execv(sys.argv[3], sys.argv[3:])
