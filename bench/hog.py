"""Tasks that hold memory and count, for ``scheduling``. In a module of its own, so that workers load little."""

from __future__ import annotations

import random
import time
from typing import Any

TASKS = 120


def tasks() -> list[dict[str, Any]]:
    """Most are small and a few large, as jobs are; always the same ones."""
    dice = random.Random(120)
    return [
        {"number": number, "mib": int(20 + 310 * dice.random() ** 2), "seconds": round(0.2 + 0.8 * dice.random(), 2)}
        for number in range(TASKS)
    ]


def hold(task: dict[str, Any]) -> int:
    """Fill memory, and keep a core busy for a while with it."""
    held = bytearray(b"\1") * (task["mib"] << 20)
    started, at = time.process_time(), 0
    while time.process_time() - started < task["seconds"]:
        at = (at + 4099 * sum(held[at : at + 64])) % len(held)
    return len(held) >> 20
