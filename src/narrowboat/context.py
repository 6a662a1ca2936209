"""What a running step may ask and say: its scratch folder, room in it, its cores, its progress, its remote files.

Covers: the functions that a step calls in a worker. Outside a worker (a test, a notebook) they work
too: scratch is a temporary folder with what the disk has free, one core, and progress goes nowhere.
Where many calls share a worker, each has a thread of its own, and the functions speak for the thread's call.
Does not cover: the wire (``workers/child.py`` puts itself behind these functions).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from narrowboat import disk


class Context:
    """The attempt that this process is working on. ``workers/`` sets its own; see the module's functions."""

    def __init__(
        self,
        scratch: Path | None = None,
        send_progress: Callable[[dict[str, Any]], None] | None = None,
        send_log: Callable[[str], None] | None = None,
        ask_room: Callable[[Path, int, str], None] | None = None,
        note_remote: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.folder = scratch  # made when it is asked for: on a full disk a step that needs none can run
        self._send_progress = send_progress
        self._send_log = send_log
        self._ask_room = ask_room
        self._note_remote = note_remote
        self.cores = 1
        self.most_cores = 1
        self.stopping = False
        self.allowed_networks: list[str] | None = None

    def scratch(self) -> Path:
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="narrowboat-step-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder

    def make_room(self, path: Path, size: int, what: str) -> None:
        if self._ask_room is not None:
            self._ask_room(path, size, what)
        else:
            disk.require(path, size - disk.used_bytes(path), what)

    def progress(self, fraction: float, stage: str | None, facts: dict[str, Any]) -> None:
        if self._send_progress is not None:
            self._send_progress({"fraction": fraction, "stage": stage, **facts})

    def uploading(self, name: str, remove: str, given: Any) -> None:
        if self._note_remote is not None:
            self._note_remote({"name": name, "remove": remove, "given": given})

    def removed(self, name: str) -> None:
        if self._note_remote is not None:
            self._note_remote({"name": name, "remove": None, "given": None})

    def log(self, message: str) -> None:
        if self._send_log is not None:
            self._send_log(message)


_process = Context()
_thread = threading.local()


def current() -> Context:
    """The one that the functions below speak for: the thread's own, else the process's."""
    own: Context | None = getattr(_thread, "context", None)
    return own or _process


def enter(context: Context, *, thread: bool = False) -> None:
    """Make ``context`` the one that the functions below speak for. For ``workers/`` and tests.

    Args:
        thread: in this thread only, in the place of the process's.
    """
    global _process  # noqa: PLW0603 -- one attempt at a time in a worker process, where threads have none of their own
    if thread:
        _thread.context = context
    else:
        _process = context


def scratch() -> Path:
    """The job's folder for files that go when the job ends. Kept across attempts of the job."""
    return current().scratch()


def make_room(path: Path, size: int, what: str = "") -> None:
    """Ask for room on the disk of scratch before a file in it grows to ``size`` bytes in all.

    Room that was given is the job's until it ends, and no other job's. Ask again for more, or to be told early when
    others have taken the disk meanwhile. Where scratch lies in memory, the room comes out of the memory budget.

    Args:
        path: the file, below :func:`scratch`.
        size: bytes of the whole file.
        what: what needs it, for the message; the file's name when empty.

    Raises:
        DiskFull: there is not so much; the numbers are in the message.
    """
    current().make_room(path, size, what or path.name)


def progress(fraction: float, stage: str | None = None, **facts: Any) -> None:
    """Say how far the step is: ``fraction`` from 0 to 1, a word for the stage, and JSON facts to show."""
    current().progress(fraction, stage, facts)


def log(message: str) -> None:
    """A line for the job's history, shown by ``narrowboat show``."""
    current().log(message)


def cores() -> int:
    """How many cores the step may keep busy now. It changes between items, up to :func:`most_cores`."""
    return current().cores


def most_cores() -> int:
    """The largest value that :func:`cores` will take in this attempt."""
    return current().most_cores


def allowed_networks() -> list[str] | None:
    """The networks that may be connected to beside public addresses, when the run has the address guard on; None when
    it is off. For steps that fetch what others name."""
    return current().allowed_networks


def uploading(name: str, remove: str, given: Any) -> None:
    """Before anything is put into a remote store: write down, durably, that ``name`` may be there from now on.

    What is written down is removed in the end, after a crash too, by calling ``remove``.

    Args:
        name: the remote file's name, chosen before the upload, unique in its store.
        remove: ``"package.module:function"``, a step that removes it. It gets ``given``, and returns when the file is
            gone or was never there.
        given: JSON; no keys or tokens.
    """
    current().uploading(name, remove, given)


def removed(name: str) -> None:
    """The remote file ``name`` is gone."""
    current().removed(name)


def stopping() -> bool:
    """True when the step has been asked to stop; a generator is also stopped after its next item."""
    return current().stopping
