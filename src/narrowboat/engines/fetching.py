"""The step that has a pack in the cache.

Covers: fetching one by name. Does not cover: making a model ready to run (``speech/prepare``).
"""

from __future__ import annotations

from pathlib import Path

from narrowboat import context
from narrowboat.config import default_cache
from narrowboat.engines.packs import fetch_pack
from narrowboat.values import Json


def fetch(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step. ``inputs``: ``pack`` (its name), ``cache`` (a folder; the default cache when missing).

    Returns ``path``, the pack's folder.

    Raises:
        UsageError, PackError, DiskFull: see :func:`fetch_pack`.
    """
    cache = Path(inputs["cache"]) if inputs.get("cache") else default_cache()
    return {"path": str(fetch_pack(inputs["pack"], cache, context.progress))}
