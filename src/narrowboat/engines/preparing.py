"""Models made ready to run, once, in the user's cache.

Covers: a folder made beside and renamed, by one process while others wait; what a step that prepares answers.
Does not cover: what is made of which model (``speech/prepare``, ``pose/prepare``), fetching (``packs``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from narrowboat import context
from narrowboat.config import default_cache
from narrowboat.engines.packs import disk_errors, locked, remove_leftovers
from narrowboat.values import Json


def made_ready(inputs: dict[str, Json], version: str, prepared: Callable[[Path], Path]) -> dict[str, Json]:
    """What the step answers: the folder that ``prepared`` makes in the cache of ``inputs``, and ``version``."""
    path = prepared(Path(inputs["cache"]) if inputs.get("cache") else default_cache())
    context.progress(1.0, "ready")
    return {"path": str(path), "version": version}


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """The folder ``target``, filled by ``make`` if it is not there: whole, or not at all.

    Raises:
        PackError, DiskFull: it can't be written.
    """
    with disk_errors(target), locked(target.parent / f".{target.name}.lock"):
        if not target.is_dir():
            remove_leftovers(target)
            context.progress(0.95, "preparing the model")
            with TemporaryDirectory(prefix=f".{target.name}.part-", dir=target.parent) as temporary:
                made = Path(temporary) / "model"
                made.mkdir()
                make(made)
                made.rename(target)
    return target
