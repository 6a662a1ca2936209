"""Reading a feed in workers: its document, then its episodes.

Covers: the two steps and what is reserved for them, what becomes of an episode as a source.
Does not cover: which feeds and when (``feeds``, ``fetching``), the steps themselves (``sources/feed``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from narrowboat import extras
from narrowboat.errors import SourceError
from narrowboat.runner.steps import Step, digest
from narrowboat.shown import safe_text
from narrowboat.sizes import MIB, format_size
from narrowboat.sources.locate import Episode, Source, safe_stem
from narrowboat.values import Demand, Facts, Json

#: Runs steps that share a scratch folder; the result of one.
RunStep: TypeAlias = Callable[[Step, dict[str, Json]], Awaitable[Json]]
#: Takes some of the episodes as they come.
Pick: TypeAlias = Callable[[Iterator[dict[str, Any]]], list[dict[str, Any]]]
#: Bytes of the largest feed that is read; the largest of real podcasts have about 30 MiB.
MOST_BYTES = 64 * MIB
#: As measured for fetching: the document goes to the disk in pieces.
GET = Step("narrowboat.sources.feed_document:get", memory="48M", cores=0, name="get feed")
#: Seconds that a document may take to be read. 17 MB in 30,000 entries took 6.
_READ_S = 300.0


def _read_demand(facts: Facts) -> Demand:
    """Measured, beside the 25 MiB that a worker begins with and the 8 that feedparser adds: 3.9 bytes a byte of a feed
    with long notes (11 MB), 8.6 of one with none (17 MB of bare entries). It takes a moment: no wait for a core."""
    return Demand(40 * MIB + 6 * int(facts["bytes"]), cores=0)


READ = Step("narrowboat.sources.feed:read", demand=_read_demand, name="read feed", time_limit=_READ_S)


@dataclass(frozen=True, slots=True)
class Document:
    """A feed as it was read.

    Attributes:
        title: of the feed.
        identity: what its episodes are told by: its ``podcast:guid``, else its address.
        entries, episodes: how many it has in all, and with something to listen to.
        chosen: the episodes that were asked for, as ``sources/feed`` gives them, newest first.
        warning: what is wrong with it, or None.
        etag, modified: what its server called the state it was in.
    """

    title: str
    identity: str
    entries: int
    episodes: int
    chosen: list[dict[str, Any]]
    warning: str | None
    etag: str | None
    modified: str | None


def check_installed() -> None:
    """See that feeds can be read.

    Raises:
        UsageError: the extra is missing.
    """
    extras.require("feeds", "reading feeds needs")


async def read_feed(
    call: RunStep,
    place: Source,
    asked: dict[str, Json],
    known: tuple[str | None, str | None] = (None, None),
    pick: Pick = list,
) -> Document | None:
    """The feed at ``place``; None when it is in the state that is ``known`` (``etag`` and ``modified``).

    Args:
        asked: ``latest``, ``since``, ``match``: see ``sources.feed.read``.
        pick: takes those that are kept in memory from those that were asked for, in a thread of its own.

    Raises:
        SourceError: it is no feed, or can't be had for good. Fact ``looks``: what it is in the place of one.
        FetchError: it can't be had for now. UsageError: the extra is missing.
        NarrowboatError: as the steps end.
    """
    check_installed()
    if place.kind == "file":
        size = (await asyncio.to_thread(Path(place.location).stat)).st_size
        if size > MOST_BYTES:
            raise SourceError(f"{place.shown} is {format_size(size)}, which is too large for a feed", looks="other")
        got: dict[str, Any] = {"path": place.location, "bytes": size, "url": None, "charset": None}
    else:
        got = await call(GET, {"url": place.location, "etag": known[0], "modified": known[1], "max_bytes": MOST_BYTES})
        if got.get("unchanged"):
            return None
        if got["path"] is None:
            raise SourceError(f"{place.shown} is no feed", hint="give the address of a feed", looks=got["looks"])
    given = {name: got[name] for name in ("path", "bytes", "url", "charset")}
    read = await call(READ, {**given, "shown": place.shown, **asked})
    return Document(
        title=read["title"],
        identity=_identity(place, read),
        entries=read["entries"],
        episodes=read["episodes"],
        chosen=await asyncio.to_thread(_picked, Path(read["path"]), pick),
        warning=read["warning"],
        etag=got.get("etag"),
        modified=got.get("modified"),
    )


def feed_key(place: Source) -> str:
    """A hash of where a feed is, without who asks for it: a changed password is no other feed."""
    scheme, separator, rest = place.location.partition("://")
    host, slash, path = rest.partition("/")
    return digest(["feed", scheme, separator, host.rpartition("@")[2], slash, path])


def episode_source(place: Source, feed_title: str, identity: str, said: dict[str, Any]) -> Source:
    """An episode as the source of a job.

    Args:
        place: of its feed.
        identity: of its feed.
        said: what its feed says of it.
    """
    published = said["published"]
    about = {
        "title": said["title"] or safe_text(said["guid"]),
        "feed": feed_title,
        "feed_url": place.shown,
        "guid": said["guid"],
        "published": None if published is None else _iso(published),
        **{name: said[name] for name in ("season", "number", "link")},
    }
    shown = {name: safe_text(value) if isinstance(value, str) else value for name, value in about.items()}
    return Source(
        "url",
        said["url"],
        safe_stem(f"{shown['title']}.mp3"),  # what looks like an ending in a title is none
        content=digest(["episode", identity, said["guid"]]),
        episode=Episode(place.location, said["guid"], {name: v for name, v in shown.items() if v is not None}),
    )


def _identity(place: Source, read: dict[str, Any]) -> str:
    if read["guid"]:
        return digest(["podcast:guid", read["guid"].lower()])
    return digest(["address", read["self"]]) if place.kind == "file" and read["self"] else feed_key(place)


def _picked(path: Path, pick: Pick) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return pick(map(json.loads, lines))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
