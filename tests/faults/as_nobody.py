"""Becomes an unprivileged user and runs a command: ``python as_nobody.py [OPTION ...] -- COMMAND [ARGUMENT ...]``.

Run as root. The user is 65534, without capabilities. A folder that only root may enter (a home with an interpreter or
a checkout in it) is covered by an empty one that anybody may enter, with just what is needed mounted into it. All this
is in a mount namespace of its own: nobody else sees it, and it ends with the command.

    --read-only-cgroups   no cgroup file system can be written to
    --delegate            the memory group that it is in is given to the user, as a service manager does it
    --readable PATH       must be readable for the user; may be given many times
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

NOBODY = 65534
CLONE_NEWNS = 0x20000  # sched.h; os.unshare comes with Python 3.12


def leave_mounts() -> None:
    """Go where mounting changes nothing for anybody else."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace can be made")
    mount("--make-rprivate", "/")


def make_reachable(paths: list[Path]) -> None:
    """Mount what lies in closed folders to the same place again, in a cover that is open."""
    closed = {folder for path in paths for folder in path.parents if not folder.stat().st_mode & 1}
    outermost = {folder for folder in closed if not closed & set(folder.parents)}
    for folder in outermost:
        inside = [path for path in paths if path.is_relative_to(folder)]
        kept = Path(tempfile.mkdtemp())
        mount("--bind", str(folder), str(kept))
        mount("-t", "tmpfs", "-o", "mode=755", "none", str(folder))
        for path in inside:
            path.mkdir(parents=True, exist_ok=True)
            mount("--bind", str(kept / path.relative_to(folder)), str(path))
        subprocess.run(["umount", str(kept)], check=True)
        kept.rmdir()


def make_cgroups_read_only() -> None:
    for _, place in cgroup_mounts():
        mount("-o", "remount,bind,ro", place)


def delegate() -> None:
    """Own the group's folder and the files that put processes into it and set groups inside up; not its limit."""
    mounts = dict(cgroup_mounts())
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, names, inside = line.split(":", 2)
        if "memory" in names.split(",") or (number == "0" and "memory" not in mounts):
            folder = Path(mounts["memory" if names else "cgroup2"]) / inside.lstrip("/")
    for path in (folder, *(folder / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control"))):
        with contextlib.suppress(FileNotFoundError):
            os.chown(path, NOBODY, NOBODY)


def cgroup_mounts() -> list[tuple[str, str]]:
    """Each cgroup file system, as ``memory`` (v1), ``cgroup2`` or ``cgroup`` (other controllers), and its place."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(maxsplit=2)
        if kind in ("cgroup", "cgroup2"):
            found.append(("memory" if "memory" in options.split(",") else kind, head.split()[4]))
    return found


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--read-only-cgroups", action="store_true")
    parser.add_argument("--delegate", action="store_true")
    parser.add_argument("--readable", action="append", type=Path, default=[])
    parser.add_argument("command", nargs="+")
    values = parser.parse_args()
    leave_mounts()
    if values.delegate:
        delegate()
    if values.read_only_cgroups:
        make_cgroups_read_only()
    make_reachable(values.readable)
    os.chdir("/")
    who = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    os.execvp("setpriv", ["setpriv", *who, *values.command])


if __name__ == "__main__":
    sys.exit(main())
