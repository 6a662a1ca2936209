"""Named queries from the SQL files beside this package.

Covers: reading ``sql/TOPIC.sql`` (blocks that begin with ``-- name: NAME``) and the schema's scripts.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(topic: str) -> dict[str, str]:
    """Name -> SQL of the file ``sql/TOPIC.sql``."""
    parts = _NAME.split((files(__package__) / "sql" / f"{topic}.sql").read_text("utf-8"))
    return {name: sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def schema_scripts() -> list[tuple[int, str]]:
    """The schema's versions in order: number and script of each ``sql/schema/NNNN.sql``."""
    folder = files(__package__) / "sql" / "schema"
    scripts = [(int(f.name[:4]), f.read_text("utf-8")) for f in folder.iterdir() if f.name.endswith(".sql")]
    return sorted(scripts)
