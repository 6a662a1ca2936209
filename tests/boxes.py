"""What ``bench/box.py`` measured, for tests that run something in it."""

import json
from typing import Any


def boxed(stdout: str) -> dict[str, Any]:
    """The report of the box: the last line that it printed."""
    measured: dict[str, Any] = json.loads(stdout.strip().splitlines()[-1])
    return measured
