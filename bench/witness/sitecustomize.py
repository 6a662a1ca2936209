"""Writes down each transcript item that a worker computes, before anybody else hears of it: for ``kills.py``.

Covers: wrapping the recognising step where it is imported. Python imports a module of this name by itself when it lies
on PYTHONPATH. Does not cover: what the lines prove (``kills_proof``).
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

_MODULE = "narrowboat.pipelines.transcribe.steps"
_FILE = os.environ.get("BENCH_KILLS_WITNESS")


def _witnessed(step: Callable[[dict[str, Any], Any], Any], file: str) -> Callable[[dict[str, Any], Any], Any]:
    def recognise(inputs: dict[str, Any], cursor: Any) -> Iterator[Any]:
        with contextlib.closing(step(inputs, cursor)) as items:
            for item in items:
                line = json.dumps({"at": time.monotonic(), "path": inputs["path"], "value": item.value})
                lines = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
                os.write(lines, f"{line}\n".encode())
                os.close(lines)
                yield item

    return recognise


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, file: str) -> None:
        self._file = file

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def and_wrap(module: Any) -> None:
                execute(module)
                module.recognise = _witnessed(module.recognise, self._file)

            loader.exec_module = and_wrap
        return spec


if _FILE:
    sys.meta_path.insert(0, _Finder(_FILE))
