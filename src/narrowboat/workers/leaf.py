"""Room for the workers' groups on cgroup v2, where a group has either processes or limits for groups inside it.

Covers: moving the supervisor (and what it has started) into a group of its own inside ours, letting groups inside
ours have memory limits, and undoing both.
Does not cover: the workers' groups (``groups``). v1 has no such rule and needs none of this.
Source: Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint" and "Delegation".
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from narrowboat.memory.processes import tree


class Unavailable(Exception):
    """Workers can have no groups of their own here; the text says why, in one line."""


class Leaf:
    """The supervisor's own group.

    Args:
        folder: the group that we are in, whose inside is to have limits.
        name: of the group to make inside it.
        controller: the one that is wanted; another one in tests.
    """

    def __init__(self, folder: Path, name: str, controller: str = "memory") -> None:
        inside = folder.name == name  # another runner of this process has moved us already
        self.folder = folder.parent if inside else folder
        self._leaf = self.folder / name
        self._controller = controller
        self._moved = False
        self._enabled = False

    def open(self) -> None:
        """Make limits inside ``folder`` possible, moving processes only where the kernel asks for it.

        Raises:
            Unavailable: it can't be done; nothing has changed.
        """
        if self._controller not in _words(self.folder / "cgroup.controllers"):
            raise Unavailable(f"the {self._controller} controller is not given to our cgroup")
        if self._controller in _words(self.folder / "cgroup.subtree_control"):
            return
        if os.statvfs(self.folder).f_flag & os.ST_RDONLY:
            raise Unavailable("the cgroup file system is read-only")
        if not os.access(self.folder / "cgroup.subtree_control", os.W_OK) or not os.access(self.folder, os.W_OK):
            raise Unavailable(f"our cgroup {self.folder.name or '/'} may not be written by this user")
        try:
            self._enable()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise Unavailable(f"groups inside ours can't have limits: {error.strerror}") from None
            self._move_out()

    @property
    def changed(self) -> bool:
        """True while there is something to undo."""
        return self._moved or self._enabled

    def undo(self) -> None:
        """Undo what another process did and had no time to undo; as :meth:`close`."""
        self._moved = self._enabled = True
        self.close()

    def close(self) -> None:
        """Undo it, when no worker's group is left; with some left (another runner's) nothing is done."""
        ours = self._leaf.name.rpartition("-")[0]
        with contextlib.suppress(OSError):
            if any(entry.name.startswith(f"{ours}-") and entry != self._leaf for entry in self.folder.iterdir()):
                return
        if self._enabled:
            with contextlib.suppress(OSError):
                _write(self.folder / "cgroup.subtree_control", f"-{self._controller}")
            self._enabled = False
        if self._moved:
            self._move_back()

    def _enable(self) -> None:
        _write(self.folder / "cgroup.subtree_control", f"+{self._controller}")
        self._enabled = True

    def _move_out(self) -> None:
        strangers = set(_pids(self.folder)) - set(tree(os.getpid()))
        if strangers:
            some = ", ".join(map(str, sorted(strangers)[:3]))
            raise Unavailable(f"{len(strangers)} other processes are in our cgroup (such as {some})")
        try:
            self._leaf.mkdir(exist_ok=True)
            self._move(self.folder, self._leaf)
            self._moved = True
            self._enable()
        except OSError as error:
            self._move_back()
            raise Unavailable(f"we can't leave our cgroup for one inside it: {error.strerror}") from None

    def _move_back(self) -> None:
        with contextlib.suppress(OSError):
            self._move(self._leaf, self.folder)
        with contextlib.suppress(OSError):
            self._leaf.rmdir()
        self._moved = False

    def _move(self, source: Path, target: Path) -> None:
        """Move every process; again while there are some, since one may have forked meanwhile."""
        for _ in range(5):
            pids = _pids(source)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    _write(target / "cgroup.procs", str(pid))
            if not pids:
                return


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _pids(folder: Path) -> list[int]:
    return [int(word) for word in _words(folder / "cgroup.procs") if word.isdigit()]


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
