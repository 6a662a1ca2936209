"""What the service says of itself, as lines of JSON or for people.

Covers: one line for an event, with the ids of request and job.
Does not cover: what jobs say (their history is in the journal).
"""

from __future__ import annotations

import json
import sys
import time
from typing import TextIO

from narrowboat.shown import safe_json
from narrowboat.values import Json


class Log:
    """Writes lines.

    Args:
        as_json: one JSON object a line; else words for people.
    """

    def __init__(self, as_json: bool, file: TextIO | None = None) -> None:
        self._as_json = as_json
        self._file = file or sys.stderr

    def __call__(self, event: str, **facts: Json) -> None:
        """Write one line. Addresses lose their secrets."""
        given = {name: value for name, value in safe_json(facts).items() if value is not None}
        now = time.time()
        if self._as_json:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
            line = json.dumps({"time": stamp, "event": event, **given}, ensure_ascii=False, default=str)
        else:
            told = " ".join(f"{name}={_word(value)}" for name, value in given.items())
            line = f"{time.strftime('%H:%M:%S', time.localtime(now))} {event} {told}".rstrip()
        print(line.encode("utf-8", "replace").decode(), file=self._file, flush=True)


def _word(value: Json) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return json.dumps(printable, ensure_ascii=False) if " " in printable or not printable else printable
