"""The only reader of the environment.

Covers: ``NARROWBOAT_*`` variables, where the home, the pack cache and unfinished outputs are.
Does not cover: parsing of what the values mean (``sizes``, ``cli/``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "NARROWBOAT_"


def variable(option: str) -> str:
    """The variable of an option: ``--max-download`` or ``max_download`` -> ``NARROWBOAT_MAX_DOWNLOAD``."""
    return PREFIX + option.lstrip("-").replace("-", "_").upper()


def setting(option: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The value of an option's variable; None when it is unset or empty."""
    return (os.environ if environment is None else environment).get(variable(option)) or None


def default_home() -> Path:
    """Where journal, scratch and default outputs are: ``NARROWBOAT_HOME``, else ``~/.narrowboat``."""
    return Path(setting("home") or Path.home() / ".narrowboat")


def default_cache() -> Path:
    """Where packs are kept: ``NARROWBOAT_CACHE``, else or ``narrowboat`` in the XDG cache folder."""
    own = setting("cache")
    if own is not None:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "narrowboat"


def pack_folder(name: str, cache: Path | None = None) -> Path:
    """Where the pack ``name`` is once it is fetched; a folder that exists is complete."""
    return (cache or default_cache()) / "packs" / name


def part_path(path: Path) -> Path:
    """Where an output is written before it is renamed to ``path``: beside it, hidden."""
    return path.with_name(f".{path.name}.part")
