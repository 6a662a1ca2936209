"""A worker's life: take calls, run steps, send what they yield.

Covers: finding a step's function, running it to its end or to an item boundary, turning what it raises into
an error frame, signs of life, giving memory back between attempts.
Does not cover: starting (``forkserver``), what was given up before (``sandbox``), who watches (``guard``).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import queue
import runpy
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from narrowboat import allocator, context, disk
from narrowboat.errors import NarrowboatError, StepFailed, UsageError, from_json
from narrowboat.values import Item
from narrowboat.workers import protocol
from narrowboat.workers.confinement import confine, reads_foreign_bytes

_TRACE_TAIL = 2000  # characters of a traceback that are kept
#: Seconds without a call after which an idle worker collects garbage, so that it holds no more than it needs.
_TIDY_AFTER_S = 0.3
#: Seconds between two signs of life.
_BEAT_S = 2.0


def serve(channel: socket.socket) -> int:
    """Serve calls until told to exit or the supervisor is gone; the exit code."""
    return Worker(channel).run()


class Worker:
    """One worker process: the main thread runs steps, a second one listens and gives signs of life.

    Calls with a number are many at once, each in a thread of its own; the main thread then only tidies up.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._next_up: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._attempts: dict[int | None, Attempt] = {}  # by number, those that have not ended
        self._changing = threading.Lock()
        self._beat_s = _BEAT_S
        self._confined = False

    def run(self) -> int:
        """Serve calls; 0 when the supervisor wanted no more."""
        threading.Thread(target=self._listen, name="narrowboat-listen", daemon=True).start()
        self._send({"op": "ready"})
        while (attempt := self._next()) is not None:
            self._serve(attempt)
        return 0

    def _next(self) -> Attempt | None:
        with contextlib.suppress(queue.Empty):
            return self._next_up.get(timeout=_TIDY_AFTER_S)
        gc.collect()
        allocator.give_back()
        return self._next_up.get()

    def _serve(self, attempt: Attempt) -> None:
        attempt.run()
        with self._changing:
            if self._attempts.get(attempt.number) is attempt:  # the next one may have come already
                del self._attempts[attempt.number]
        allocator.give_back()

    def _listen(self) -> None:
        while True:
            if not select.select([self._channel], [], [], self._beat_s)[0]:
                self._beat()
                continue
            frame = protocol.receive(self._channel)
            if frame is None or frame["op"] == "exit":
                break
            if frame["op"] == "run":
                self._begin(frame)
            elif frame["op"] == "stop" and frame.get("call") is None:
                self._stop()
            elif (told := self._attempts.get(frame.get("call"))) is not None:
                told.hear(frame)
        for attempt in self._stop():
            attempt.answers.put(None)
        self._next_up.put(None)

    def _stop(self) -> list[Attempt]:
        with self._changing:
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.context.stopping = True
        return attempts

    def _begin(self, frame: dict[str, Any]) -> None:
        if not self._confined and reads_foreign_bytes(frame["function"]):
            self._confined = True
            confine()
        # made here, so that a `stop` or `cores` right behind it is for this attempt and no other
        attempt = Attempt(frame, self._send)
        with self._changing:
            self._attempts[attempt.number] = attempt
        self._beat_s = min(_BEAT_S, frame["heartbeat"] / 4)
        if attempt.number is None:
            self._next_up.put(attempt)
        else:
            threading.Thread(target=self._serve, args=(attempt,), name="narrowboat-call", daemon=True).start()

    def _beat(self) -> None:
        """A sign of life, unless one is on its way anyhow: who sends holds the lock, and may wait for the reader."""
        if self._attempts and self._sending.acquire(blocking=False):
            try:
                if select.select([], [self._channel], [], 0)[1]:
                    protocol.send(self._channel, {"op": "beat"})
            except OSError:
                pass  # the supervisor is gone: the listener hears of it
            finally:
                self._sending.release()

    def _send(self, frame: dict[str, Any]) -> None:
        with self._sending:
            protocol.send(self._channel, frame)


class Attempt:
    """One call on its way: its context, what it asks, how it ends.

    Attributes:
        number: of one of many calls at once; None for the only one.
        answers: to what was asked; None when the supervisor is gone.
    """

    def __init__(self, call: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
        self._call = call
        self._out = send
        self.number: int | None = call["call"]
        self.answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._asking = threading.Lock()
        self.context = context.Context(
            Path(call["scratch"]),
            lambda facts: self._send({"op": "progress", **facts}),
            lambda message: self._send({"op": "log", "message": message[:4000]}),
            lambda path, size, what: self._ask({"op": "room", "path": str(path), "size": size, "what": what[:1000]}),
            lambda told: self._ask({"op": "remote_file", **told}),
        )
        self.context.cores, self.context.most_cores = call["cores"], call["most_cores"]
        self.context.allowed_networks = call["allowed_networks"]

    def hear(self, frame: dict[str, Any]) -> None:
        """A frame for this call."""
        if frame["op"] == "stop":
            self.context.stopping = True
        elif frame["op"] == "cores":
            self.context.cores = frame["cores"]
        elif frame["op"] == "answer":
            self.answers.put(frame)

    def run(self) -> None:
        """Run the step to its end or to an item boundary, and send how it ended."""
        context.enter(self.context, thread=self.number is not None)
        call = self._call
        try:
            function = find_function(call["function"], call["main_path"], tuple(call["path"]))
            self._send(self._finish(function))
        except BrokenPipeError:
            return  # the supervisor is gone: the listener ends us
        except MemoryError:
            self._send({"op": "error", "memory": True, "error": None})
        except BaseException as error:  # whatever a step raises is an answer
            self._send({"op": "error", "memory": False, "error": describe(error, call["function"]).to_json()})

    def _send(self, frame: dict[str, Any]) -> None:
        self._out(frame if self.number is None else {**frame, "call": self.number})

    def _ask(self, question: dict[str, Any]) -> None:
        with self._asking:  # one question at a time, so that each gets its own answer
            self._send(question)
            answer = self.answers.get()
        if answer is None:
            raise BrokenPipeError("the supervisor is gone")
        if answer["error"] is not None:
            raise from_json(answer["error"])

    def _finish(self, function: Callable[..., Any]) -> dict[str, Any]:
        call = self._call
        if not inspect.isgeneratorfunction(function):
            return _checked({"op": "done", "result": function(call["input"])}, "result")
        stream = function(call["input"], call["cursor"]) if takes_cursor(function) else function(call["input"])
        return self._stream(stream, call["sequence"], skip=0 if takes_cursor(function) else call["sequence"])

    def _stream(self, stream: Iterator[Any], sequence: int, skip: int) -> dict[str, Any]:
        """Send the items of a stream; those of a generator without cursor that were committed are passed over."""
        with contextlib.closing(stream):  # type: ignore[type-var]
            for number, given in enumerate(stream):
                if number < skip:
                    continue
                item = given if isinstance(given, Item) else Item(given, sequence + 1)
                frame = {"op": "item", "seq": sequence, "cursor": item.cursor, "value": item.value}
                self._send(_checked(frame, "item"))
                sequence += 1
                if context.stopping():
                    return {"op": "stopped"}
        return {"op": "done", "result": None}


def _checked(frame: dict[str, Any], what: str) -> dict[str, Any]:
    try:
        protocol.encode(frame)
    except protocol.FrameTooLarge as error:
        raise StepFailed(
            f"the step gave an {what} of {error}; at most {protocol.MAX_FRAME} are taken",
            hint="write bulk to a file in context.scratch() and name it in the item",
        ) from None
    except (TypeError, ValueError) as error:
        raise StepFailed(f"the step gave an {what} that is not JSON: {error}") from None
    return frame


def takes_cursor(function: Callable[..., Any]) -> bool:
    """True for a resumable stream: a generator function with a second parameter, the cursor."""
    return len(inspect.signature(function).parameters) >= 2


@lru_cache(maxsize=64)
def find_function(reference: str, main_path: str | None, path: tuple[str, ...]) -> Callable[..., Any]:
    """The function that a step names.

    Raises:
        UsageError: there is no such module or name, or importing the module failed.
    """
    module_name, _, name = reference.partition(":")
    sys.path[:0] = [entry for entry in path if entry not in sys.path]
    try:
        if module_name == "__main__" and main_path is not None:
            found: Any = _main_module(main_path)
        else:
            found = importlib.import_module(module_name)
        for part in name.split("."):
            found = found[part] if isinstance(found, dict) else getattr(found, part)
    except Exception as error:
        raise UsageError(
            f"the step {reference} can't be loaded in a worker: {type(error).__name__}: {error}",
            hint="a step is a function at the top level of a module; is an extra missing?",
        ) from error
    return getattr(found, "__wrapped__", found)  # type: ignore[no-any-return]


def _main_module(path: str) -> dict[str, Any]:
    return runpy.run_path(path, run_name="__narrowboat_main__")


def describe(error: BaseException, function: str) -> NarrowboatError:
    """What a step raised, as an error of ours; a traceback's end is kept in its facts."""
    if isinstance(error, NarrowboatError):
        return error
    tail = "".join(traceback.format_exception(error))[-_TRACE_TAIL:]
    if isinstance(error, OSError) and error.errno in disk.FULL:
        path = Path(error.filename) if isinstance(error.filename, str) else context.current().folder or Path.cwd()
        return disk.full(path, f"files of {function}")
    text = str(error).strip() or "no message"
    return StepFailed(f"{function} raised {type(error).__name__}: {text}"[:1000], traceback=tail)
