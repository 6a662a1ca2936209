"""Sources as they may be shown: addresses without what lets somebody in, uploads by the name that they were sent under.

Covers: one address, and every address in a text. What is printed, journaled or written goes through here.
Does not cover: where the whole address is kept (``journal/addresses``). A secret in the path of an address can't be
told from a name, and is shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

HIDDEN = "…"
#: Where uploads lie below a home: inside scratch, so that room for them is counted.
UPLOADS = Path("scratch", "uploads")
#: Parameters whose numbers tell one episode from another and let nobody in.
_NUMBERED = {"e", "ep", "episode", "id", "n", "no", "num", "number", "p", "page", "part", "s", "season", "track"}
_NUMBER = re.compile(r"[0-9]{1,9}")
#: To the next space: whatever else ends it may stand inside of a secret.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"<>]+")


def safe_url(url: str) -> str:
    """The address as it may be shown: without user, password, fragment, and parameters but for a few numbers."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # perhaps a password with a slash in it: what stands before the last @ is not shown
        return re.split(r"[?#]", re.sub(r"//.*@", "//", url), maxsplit=1)[0]
    host = parts.netloc.rpartition("@")[2]
    return SplitResult(parts.scheme, host, parts.path, _safe_query(parts.query), "").geturl()


def _safe_query(query: str) -> str:
    kept = [part for part in query.split("&") if _is_number(*part.partition("=")[::2])]
    return "&".join([*kept, HIDDEN] if len(kept) < len(query.split("&")) and query else kept)


def _is_number(name: str, value: str) -> bool:
    return name.lower() in _NUMBERED and _NUMBER.fullmatch(value) is not None


def safe_source(source: str) -> str:
    """A path as it is, or an address as it may be shown."""
    return safe_url(source) if "://" in source else source


def sent_as(source: str, home: Path) -> str:
    """The name that an upload of ``home`` was sent under; any other source as it is."""
    return f"{Path(source).name} (sent)" if Path(source).is_relative_to((home / UPLOADS).absolute()) else source


def safe_text(text: str) -> str:
    """``text`` with every address in it as it may be shown."""
    return _ADDRESS.sub(lambda found: safe_url(found[0]), text) if "://" in text else text


def safe_json(value: Any) -> Any:
    """A JSON value with every address in its texts as it may be shown."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {name: safe_json(inner) for name, inner in value.items()}
    return [safe_json(inner) for inner in value] if isinstance(value, list | tuple) else value
