"""Named queries from the SQL files beside this package.

Covers: reading ``sql/TOPIC.sql`` (blocks that begin with ``-- name: NAME``) and the schema's scripts.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

#: Files of the package, as it was installed; ``importlib.resources`` takes longer to load than they take to read.
_SQL = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(topic: str) -> dict[str, str]:
    """Name -> SQL of the file ``sql/TOPIC.sql``."""
    parts = _NAME.split((_SQL / f"{topic}.sql").read_text("utf-8"))
    return {name: sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def schema_scripts() -> list[tuple[int, str]]:
    """The schema's versions in order: number and script of each ``sql/schema/NNNN.sql``."""
    scripts = [(int(f.name[:4]), f.read_text("utf-8")) for f in (_SQL / "schema").glob("*.sql")]
    return sorted(scripts)
