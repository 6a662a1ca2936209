"""Two kinds of workers: those that read foreign bytes, and those that talk to others; none does both.

Covers: what a worker gives up before it reads foreign bytes: the network, new privileges, other processes' memory,
secrets of the environment. It is given up with its first step, for good, by all of its threads.
Does not cover: what every worker gives up (``sandbox``). Steps of users are theirs, and give up nothing.
Source: seccomp(2), seccomp_filter of the kernel's documentation, proc(5) for env_start.

A reader that is taken over by a file can still read the files that its user can: what it can't do is to send them
anywhere, or to get at keys.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

#: Steps that read foreign bytes, by the beginning of their names, and those among them that ask remote engines.
_READERS = ("narrowboat.media.", "narrowboat.pipelines.", "narrowboat.sources.feed:")
_TALKERS = (
    "narrowboat.pipelines.extract.asking:",
    "narrowboat.pipelines.transcribe.summary:",
    "narrowboat.pipelines.transcribe.embedding:",
)
_SECRET = re.compile(r"KEYS?$|TOKEN$|SECRET|PASSWORD|CREDENTIALS?$|STORAGE_HEADERS$", re.IGNORECASE)

_PR_SET_NO_NEW_PRIVS, _SET_FILTER, _ALL_THREADS = 38, 1, 1
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38  # EACCES, ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _FAMILY = 0, 4, 16  # offsets in struct seccomp_data
_AF_UNIX, _FOREIGN_ABI = 1, 0x40000000  # the second is x32's bit


class _Calls:
    """Numbers of system calls on one machine: socket, ptrace, process_vm_readv, process_vm_writev, seccomp."""

    def __init__(self, audit: int, socket: int, ptrace: int, read: int, write: int, seccomp: int) -> None:
        self.audit, self.socket, self.seccomp = audit, socket, seccomp
        self.others = (ptrace, read, write)


_IO_URING = 425  # io_uring_setup, the same everywhere: its sockets would go past the filter
_MACHINES = {
    "x86_64": _Calls(0xC000003E, 41, 101, 310, 311, 317),
    "aarch64": _Calls(0xC00000B7, 198, 117, 270, 271, 277),
}


def reads_foreign_bytes(function: str) -> bool:
    """Whether a step does, and needs nobody else for it."""
    return function.startswith(_READERS) and not function.startswith(_TALKERS)


def why_not() -> str | None:
    """Why readers can't be confined here; None when they can."""
    if platform.machine() not in _MACHINES:
        return f"not known how on {platform.machine()}"
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return "this kernel has no seccomp filters"
    return None if "errno" in actions else "this kernel's seccomp can't refuse calls"


def confine() -> bool:
    """Give up the network, new privileges, other processes and secrets; False where the filter can't be had."""
    _forget_secrets()
    libc = ctypes.CDLL(None, use_errno=True)
    if why_not() is not None or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    calls = _MACHINES[platform.machine()]
    filters = ctypes.create_string_buffer(_program(calls))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters.raw) // 8, ctypes.addressof(filters)))
    return bool(libc.syscall(calls.seccomp, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def _program(calls: _Calls) -> bytes:
    """The filter: sockets of other families than this machine's own are refused, and what would lead around that."""
    checks = [(_IO_URING, _UNKNOWN), *((number, _REFUSE) for number in calls.others)]
    lines = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, calls.audit),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FOREIGN_ABI),
        (_RETURN, 0, 0, _REFUSE),
    ]
    for number, answer in checks:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    lines += [
        (_EQUAL, 1, 0, calls.socket),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FAMILY),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _forget_secrets() -> None:
    """Take secrets out of the environment, and out of the memory that it came in, which /proc shows."""
    names = [name for name in os.environ if _SECRET.search(name)]
    if not names:
        return
    for name in names:
        del os.environ[name]
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])  # 50 and 51 of proc(5)
    except (OSError, IndexError, ValueError):
        return
    if not start < end:
        return
    block = ctypes.string_at(start, end - start)
    for name in names:
        for found in re.finditer(rb"(?:^|\0)" + re.escape(os.fsencode(name)) + rb"=([^\0]*)", block):
            ctypes.memset(start + found.start(1), 0, found.end(1) - found.start(1))
