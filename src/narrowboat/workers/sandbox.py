"""What a worker gives up before it runs anything: its session, its chance to outlive us, its claim to memory.

Covers: own session and process group, death with the fork server, keeping orphans, first choice for the kernel's OOM
killer, a loose limit on data, quiet standard streams.
Does not cover: cgroups and the polling guard (``guard``), or namespaces and system call filters.
Source: prctl(2), setrlimit(2), proc_pid_oom_score_adj(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OOM_FIRST = "1000"
#: RLIMIT_DATA is this many times physical memory: it only stops what runs away for good. A tight one makes codecs
#: fail in misleading ways (x264 at 257 MB resident needs 413).
_DATA_TIMES = 4


def prctl(option: int, value: int) -> bool:
    """Call prctl(2); False where there is none (macOS) or it was refused."""
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
    except (AttributeError, OSError):
        return False


def become_subreaper() -> bool:
    """Orphans below this process are handed to it instead of to init."""
    return prctl(_PR_SET_CHILD_SUBREAPER, 1)


def wake_without_parent() -> None:
    """Go on when the parent ends, though a signal has stopped this process: there is something to clear away."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def die_with(parent: int) -> None:
    """Be killed when the parent ends; end at once when it is gone already."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def prefer_for_oom() -> None:
    """Make the kernel choose this process first."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_FIRST)


def _limit_data() -> None:
    """Set the loose limit on data."""
    limit = _DATA_TIMES * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def enter(parent: int, output: int, *, oom_first: bool, limit_data: bool) -> None:
    """Everything above, for a worker that was just forked; stdout and stderr go to descriptor ``output``.

    The worker is a subreaper: what it starts stays below it, also a daemon that has left its session and lost its
    parent, and so counts as its memory. When it ends they go to the fork server, which kills them.
    """
    os.setsid()
    die_with(parent)
    become_subreaper()
    if oom_first:
        prefer_for_oom()
    if limit_data:
        _limit_data()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(null)
    os.close(output)
