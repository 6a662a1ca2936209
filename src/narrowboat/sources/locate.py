"""From what the user wrote to a source: a file in place, or an address.

Covers: :func:`locate`, output stems, the fingerprint of a file. Light: the supervisor imports it.
Does not cover: fetching (``http``, ``objects``) or whether the content is media (``media/``), how addresses are shown
(``narrowboat.shown``); files are used where they are and never copied.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from narrowboat import extras
from narrowboat.errors import SourceError, UsageError
from narrowboat.shown import safe_url
from narrowboat.sources.object_names import is_object, object_name
from narrowboat.values import Json

STEM_BYTES = 120  # of UTF-8; leaves room for suffixes within the 255 bytes that file systems allow
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)")
_SUFFIX = re.compile(r"\.(?:[A-Za-z0-9]{1,5}|parquet)$")
_JOINERS = "\u200c\u200d"  # needed to write some languages; other invisible characters are not


@dataclass(frozen=True, slots=True)
class Episode:
    """Which episode of which feed a source is.

    Attributes:
        feed: where the feed is, with its secrets: an address, or a path.
        guid: as its feed writes it: it may be an address with secrets.
        about: what its feed says of it, as it may be shown: ``title``, ``feed`` (its title) and others.
    """

    feed: str
    guid: str
    about: dict[str, Json]

    @property
    def name(self) -> str:
        """What people call it."""
        return " · ".join(filter(None, (self.about["title"], self.about["feed"])))


@dataclass(frozen=True, slots=True)
class Source:
    """What to work on.

    Attributes:
        kind: ``"file"``, ``"url"``, or ``"object"`` of a store.
        location: the absolute path, or the address as given, with its secrets: show :attr:`shown`.
        stem: what outputs are named after; safe as a file name, never empty.
        content: what tells its content from that of others, where that is known without looking at it.
        episode: where it comes from a feed.
    """

    kind: Literal["file", "url", "object"]
    location: str
    stem: str
    content: str | None = None
    episode: Episode | None = None

    @property
    def shown(self) -> str:
        """The path, the address without its secrets, or the name of the episode."""
        if self.episode is not None:
            return self.episode.name
        return self.location if self.kind == "file" else safe_url(self.location)

    @property
    def key(self) -> Json:
        """What tells it from other sources, also when its address has another secret or another host tomorrow."""
        return self.location if self.episode is None else self.content

    @property
    def address(self) -> Json:
        """What :func:`restored` needs beside what is shown; None where that is all there is."""
        if self.episode is not None:
            kept = {"url": self.location, "stem": self.stem, "content": self.content}
            return {**kept, "episode": asdict(self.episode)}
        return None if self.location == self.shown else {"url": self.location}


def locate(text: str) -> Source:
    """The source that ``text`` names: a path, an http or https address, or an object of a store.

    Raises:
        UsageError: empty, another scheme, an address without a host, a name of many objects.
        SourceError: the file is missing, empty, unreadable, a folder, or no regular file.
    """
    if not text.strip() or "\0" in text:
        raise UsageError("a source can't be empty", hint="give a file or an http(s) address")
    if is_object(text):
        return _locate_object(text)
    if _SCHEME.match(text.strip()):
        return _locate_url(text.strip())
    path = Path(text).expanduser().absolute()
    _check_file(path)
    return Source("file", str(path), safe_stem(path.name))


def restored(shown: str, address: Json) -> Source:
    """The source of a job from what is kept of it. Raises as :func:`locate` does."""
    if address is not None and "episode" in address:
        episode = Episode(**address["episode"])
        return Source("url", address["url"], address["stem"], content=address["content"], episode=episode)
    return locate(shown if address is None else address["url"])


def _locate_object(text: str) -> Source:
    name = object_name(text)
    if name.is_many:
        raise UsageError(f"{name.address} means many objects, and here one is needed", hint="name one of them")
    extras.require("stores", f"{name.scheme}:// needs")
    return Source("object", name.address, safe_stem(name.key.rpartition("/")[2]))


def _locate_url(text: str) -> Source:
    shown = safe_url(text)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{shown} is not an address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise UsageError(
            f"{shown} can't be fetched: {parts.scheme} is not supported",
            hint="use http, https, s3, gs, az or a local file",
        )
    if not host or re.search(r"[\s\x00-\x1f]", text):
        raise UsageError(f"{shown} is not an address", hint="write it as https://host/path")
    last = unquote(parts.path.rstrip("/").rpartition("/")[2], errors="replace")
    return Source("url", parts._replace(fragment="").geturl(), safe_stem(last or host))


def _check_file(path: Path) -> None:
    shown = str(path).encode("utf-8", "replace").decode()  # a name may hold bytes that can't be printed
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise SourceError(f"{shown} is a folder", hint="name the files in it")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{shown} is not a regular file (a pipe, socket or device)", hint="save it to a file")
        if found.st_size == 0:
            raise SourceError(f"{shown} is empty (0 bytes)", reason="empty")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise SourceError(f"{shown} does not exist") from None
    except PermissionError:
        raise SourceError(f"{shown} can't be read: permission denied") from None
    except OSError as error:
        raise SourceError(f"{shown} can't be read: {error.strerror or error}") from None


def safe_stem(name: str) -> str:
    """``name`` without its suffix, as a file name that is harmless anywhere: at most 120 bytes, never empty."""
    stem = _SUFFIX.sub("", name) or name
    kept = "".join("_" if c in "/\\" or (unicodedata.category(c)[0] == "C" and c not in _JOINERS) else c for c in stem)
    kept = kept.encode("utf-8", "replace")[:STEM_BYTES].decode("utf-8", "ignore")
    return kept.strip().lstrip(".").strip(". ") or "source"


def safe_name(name: str) -> str:
    """``name`` as a file name that is harmless anywhere, with its suffix: at most 126 bytes, never empty."""
    suffix = _SUFFIX.search(name)
    return safe_stem(name) + (suffix[0] if suffix else "")


def fingerprint(path: str | Path) -> str:
    """The SHA-256 of the file's content in hex; read in pieces, and without holding the interpreter's lock.

    Raises:
        SourceError: the file can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            import hashlib  # loads the system's TLS library: only for who hashes

            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}") from None
