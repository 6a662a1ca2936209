"""What a step is: a function by name, and what it asks for.

Covers: naming a function so that a worker can find it without the supervisor importing what it imports.
Does not cover: running it (``attempts``), finding it in the worker (``workers/child.py``).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable
from copy import copy
from typing import Any

from narrowboat.errors import UsageError
from narrowboat.sizes import MIB, parse_size
from narrowboat.values import Client, Demand, Facts, Json

#: What a step is taken to need when nothing is said; corrected by what is measured.
DEFAULT_MEMORY = 128 * MIB
#: Seconds without a sign of life after which a worker counts as hung.
HEARTBEAT_S = 60.0


class Step:
    """A function that runs in a worker.

    Args:
        function: ``"package.module:function"``, so that nothing is imported here, or the function itself. A plain
            function takes one JSON value and returns one. A generator function takes the input and a cursor and
            yields items (see :class:`narrowboat.Item`): it is a resumable stream.
        memory: what one attempt needs, ``"200M"`` or bytes.
        cores: cores that it keeps busy; 0 when it waits on others.
        demand: in the place of ``memory`` and ``cores``: a function of the probe's facts.
        name: for messages, history and learned peaks; by default the function's name.
        version: change it when results change; finished work of another version is not used.
        engine: what the peaks also depend on (a model's name).
        fresh: start a new process for each attempt, in the place of one that has done this step before. For
            functions that leave something behind in their process.
        heartbeat: seconds without a sign of life after which a worker counts as hung. Python gives one by itself;
            native code that holds Python's lock for so long does not.
        time_limit: seconds that one attempt may take; then the job fails. None for any number.
        lane: the lane that it is in while it runs (see ``lanes``), which somebody may have capped.
        client: of a remote engine: the step is a call that shares one worker with all others of that client, each in
            a thread of its own. ``memory`` is what one call adds; cores it has none. It must be a plain function, be
            safe in threads, and give up by itself what takes too long; it tries nothing twice (see ``calls``).

    Raises:
        UsageError: a lambda, a function inside a function, or one of an interactive session: a worker could not
            find it again.
    """

    def __init__(
        self,
        function: Callable[..., Any] | str,
        *,
        memory: str | int = DEFAULT_MEMORY,
        cores: int = 1,
        demand: Callable[[Facts], Demand] | None = None,
        name: str | None = None,
        version: str = "1",
        engine: str = "",
        fresh: bool = False,
        heartbeat: float = HEARTBEAT_S,
        time_limit: float | None = None,
        lane: str = "",
        client: Client | None = None,
    ) -> None:
        self.function, self.main_path = (function, None) if isinstance(function, str) else reference(function)
        if ":" not in self.function:
            raise UsageError(f"{self.function!r} names no step", hint="write it as package.module:function")
        self.name = name or self.function.rpartition(":")[2]
        self.version = version
        self.engine = engine
        self.fresh = fresh
        self.heartbeat = heartbeat
        self.time_limit = time_limit
        self.lane = lane
        self.client = client
        fixed = Demand(parse_size(memory), 0 if client else cores)
        self.demand: Callable[[Facts], Demand] = demand or (lambda _: fixed)

    def with_engine(
        self, engine: str, demand: Callable[[Facts], Demand] | None = None, *, client: Client | None = None
    ) -> Step:
        """The same step for another engine, with that engine's demand and client."""
        made = copy(self)
        made.engine, made.demand, made.client = engine, demand or self.demand, client or self.client
        return made

    def __repr__(self) -> str:
        return f"Step({self.function!r})"


def reference(function: Callable[..., Any]) -> tuple[str, str | None]:
    """``module:qualified.name`` of a function, and the file of ``__main__`` when it is from there."""
    function = inspect.unwrap(function)
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not inspect.isfunction(function) or name is None or module is None:
        raise UsageError(f"{function!r} can't be a step: a step is a function at the top level of a module")
    if "<lambda>" in name:
        raise UsageError("a lambda can't be a step: it has no name that a worker could find it by", hint="use def")
    if "<locals>" in name:
        raise UsageError(f"{name} can't be a step: it is made anew inside another function", hint="move it out")
    if module != "__main__":
        return f"{module}:{name}", None
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        raise UsageError(f"{name} can't be a step: an interactive session has no file that a worker could load")
    return f"__main__:{name}", path


def digest(value: Json) -> str:
    """SHA-256 of a JSON value, the same for equal values."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
