"""A memory cgroup for each worker: the kernel itself keeps it to its reservation and the grace.

Covers: slots, which are groups inside our own that one worker after another is put into; their hard limits; the
kernel's kills in them; finding out whether any can be had, and why not; clearing up after supervisors that died.
Does not cover: making room for them on cgroup v2 (``leaf``), or what a kill means for the attempt (``ending``).

A slot is used again, since a group that is removed while something is charged to it lives on in the kernel: ten
thousand workers would leave ten thousand of them. Its counters go on over all its workers, so differences count.
Page cache is charged to a slot too, and the kernel drops it at the limit: that kills nobody.
Sources: Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of the Linux kernel.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from narrowboat.memory.cgroups import Group, KillCount
from narrowboat.memory.processes import start_ticks
from narrowboat.sizes import MIB
from narrowboat.workers.leaf import Leaf, Unavailable

#: What a worker may have left charged to a slot that the next one gets, in bytes: kernel memory on its way out.
LEFTOVER = 4 * MIB
#: How near its limit a v1 group must have come for a kill in it to be its own limit's doing: the kernel charges in
#: batches of 64 pages, and the charge that fails is not in the high-water mark.
NEAR_LIMIT = MIB
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NAME = re.compile(r"narrowboat-(\d+)-(\d+)-(?:\d+|supervisor)")
_numbers = itertools.count()


class Slot:
    """One group, and the limit of the worker in it.

    Attributes:
        limit: the hard limit in bytes as last set.
        own_kills: processes that the kernel killed in it at this limit, by all its workers so far.
        outer_kills: processes that it killed in it for the limit of a group around it.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.limit = 0
        self.own_kills = 0
        self.outer_kills = 0
        self._count = KillCount(group)
        self._kills = self._count.read()
        self._ran_out = group.ran_out()
        self._lock = threading.Lock()
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            self._write("memory.swappiness" if group.version == 1 else "memory.swap.max", 0)
        if group.version == 2:
            with contextlib.suppress(OSError):
                self._write("memory.oom.group", 1)

    @property
    def door(self) -> Path:
        """The file into which a pid is written to put a process into the slot."""
        return self.group.folder / "cgroup.procs"

    def fit(self, size: int) -> None:
        """Set the limit to ``size`` bytes. A smaller one that what is in use does not fit is left as it is.

        Raises:
            OSError: the group is gone, or may not be written any more.
        """
        size = -(-size // _PAGE) * _PAGE
        with self._lock:
            if size == self.limit or (size < self.limit and not self._may_shrink(size)):
                return
            try:
                self._write("memory.limit_in_bytes" if self.group.version == 1 else "memory.max", size)
            except OSError as error:
                if error.errno == errno.EBUSY and self.limit:
                    return
                raise
            self.limit = size

    def _may_shrink(self, size: int) -> bool:
        """v1 refuses what does not fit; v2 would kill, so it is not asked."""
        return self.group.version == 1 or self.group.charged() <= size or (self.group.used() or 0) + LEFTOVER <= size

    def count(self) -> None:
        """Read the kernel's kills since the last time and add each to whose limit it was for."""
        with self._lock:
            kills = self._count.read()
            more, self._kills = kills - self._kills, kills
            if more <= 0:
                return
            ran_out = self.group.ran_out()
            own = ran_out > self._ran_out or self.group.most_charged() >= self.limit - NEAR_LIMIT > 0
            self._ran_out = ran_out
            self.own_kills += more if own else 0
            self.outer_kills += 0 if own else more

    def renew(self) -> None:
        """Another worker comes: what is measured from its coming starts anew."""
        self.count()
        if self.group.version == 1:
            with contextlib.suppress(OSError):
                self._write("memory.max_usage_in_bytes", 0)

    def is_free(self) -> bool:
        """True when the last worker has left no process and nothing that can't be reclaimed (tmpfs files)."""
        if self.group.pids():
            return False
        return self.group.charged() <= LEFTOVER or (self.group.used() or 0) <= LEFTOVER

    def remove(self) -> bool:
        """Remove the group; False while there are processes in it."""
        if self.group.version == 1:
            with contextlib.suppress(OSError):
                self._write("memory.force_empty", 0)  # or its page cache would keep it alive in the kernel
        return _removed(self.group.folder)

    def _write(self, name: str, value: int) -> None:
        with (self.group.folder / name).open("w") as file:
            file.write(str(value))


class Groups:
    """The slots of this supervisor, inside the innermost memory cgroup that it is in.

    Raises:
        Unavailable: on :meth:`open`, with the reason in one line.
    """

    def __init__(self, parent: Group, leaf: Leaf | None) -> None:
        self._parent = parent
        self._leaf = leaf
        self._free: list[Slot] = []
        self._all: list[Slot] = []
        self._lock = threading.Lock()

    @classmethod
    def open(cls, groups: Sequence[Group], leaf: Leaf | None = None) -> Groups:
        """Make the first slot, and with it see that any can be made.

        Args:
            groups: the memory cgroups of this process, innermost first.
            leaf: for tests; by default the one that v2 asks for.
        """
        if not groups:
            raise Unavailable("no memory cgroup is mounted that can be seen from here")
        parent = groups[0]
        _remove_stale(parent.folder)
        if parent.version == 2:
            leaf = leaf or Leaf(parent.folder, own_name("supervisor"))
            leaf.open()
        made = cls(Group(leaf.folder, 2, parent.name, parent.top) if leaf else parent, leaf)
        try:
            made._free.append(made._make())
        except OSError as error:
            made.close()
            raise Unavailable(_why(error, parent)) from None
        return made

    def take(self, size: int) -> Slot:
        """A slot with a limit of ``size`` bytes, for one worker.

        Raises:
            OSError: none can be made any more.
        """
        with self._lock:
            # An empty group may be removed by whoever may write there, a supervisor that can't see our pid for one.
            self._free = [slot for slot in self._free if slot.door.exists()]
            slot = next((slot for slot in self._free if slot.is_free()), None)
            if slot is None:
                slot = self._make()
            else:
                self._free.remove(slot)
        slot.renew()
        slot.fit(size)
        return slot

    def give_back(self, slot: Slot) -> None:
        """The worker in it has ended."""
        slot.count()
        with self._lock:
            self._free.append(slot)

    def own_kills(self) -> int:
        """Kernel kills at the slots' own limits so far."""
        with self._lock:
            slots = list(self._all)
        for slot in slots:
            slot.count()
        return sum(slot.own_kills for slot in slots)

    @property
    def traces(self) -> dict[str, Any]:
        """What :func:`clear_traces` needs to know."""
        changed = self._leaf is not None and self._leaf.changed
        return {"folder": str(self._parent.folder), "owner": own_name(""), "leaf": changed}

    def close(self, patience_s: float = 1.0) -> None:
        """Remove all slots and undo what was changed, when every worker has ended; waits for the last of them."""
        until = time.monotonic() + patience_s
        left = list(self._all)
        while left := [slot for slot in left if not slot.remove()]:
            if time.monotonic() > until:
                break
            time.sleep(0.01)
        if self._leaf is not None:
            self._leaf.close()

    def _make(self) -> Slot:
        number = next(_numbers)
        folder = self._parent.folder / own_name(str(number))
        folder.mkdir()
        try:
            slot = Slot(Group(folder, self._parent.version, f"{self._parent.name}/{folder.name}", top=False))
            slot.fit(LEFTOVER)  # shows that limits may be set; take() sets the real one
        except OSError:
            _removed(folder)
            raise
        self._all.append(slot)
        return slot


def clear_traces(traces: dict[str, Any], patience_s: float = 2.0) -> None:
    """Remove the groups of a supervisor that was killed, and undo what it changed on v2.

    On v2 nobody could enter its group any more: it gives limits to groups inside, so it may have no processes, and
    whoever starts us again in there would fail before we run. For the fork server, which outlives it for a moment.
    """
    folder, owner = Path(traces["folder"]), traces["owner"]
    until = time.monotonic() + patience_s
    with contextlib.suppress(OSError):
        left = [
            entry for entry in folder.iterdir() if entry.name.startswith(owner) and entry.name[len(owner) :].isdigit()
        ]
        while left := [entry for entry in left if not _removed(entry)]:
            if time.monotonic() > until:
                break
            time.sleep(0.01)
    if traces["leaf"]:
        Leaf(folder, f"{owner}supervisor").undo()


def own_name(what: str) -> str:
    """The name of a group of this process: pid and start time make it one process's for ever."""
    return f"narrowboat-{os.getpid()}-{start_ticks(os.getpid()) or 0}-{what}"


def _remove_stale(folder: Path) -> None:
    """Remove the empty groups of supervisors that are no more."""
    with contextlib.suppress(OSError):
        for entry in list(folder.iterdir()):
            match = _NAME.fullmatch(entry.name)
            if match and start_ticks(int(match[1])) != int(match[2]):
                _removed(entry)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _why(error: OSError, parent: Group) -> str:
    where = f"cgroup v{parent.version} {parent.name}"
    if error.errno == errno.EROFS:
        return f"the cgroup file system is read-only ({where})"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may make no group inside {where}"
    return f"no group can be made inside {where}: {error.strerror or error}"
