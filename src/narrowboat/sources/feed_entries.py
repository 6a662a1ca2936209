"""From an entry of a feed, as feedparser gives it, to an episode. Loads in workers only.

Covers: which of several enclosures is the one to listen to, addresses made whole, dates and lengths as numbers, texts
without markup, a guid for entries that have none.
Does not cover: parsing (feedparser), choosing episodes (``feed``).
"""

from __future__ import annotations

import calendar
import hashlib
import html
import math
import mimetypes
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from narrowboat.values import Json

TITLE, GUID = 300, 1000  # characters, at most
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")
#: Endings of media that the standard library does not know everywhere.
_MEDIA = {".opus", ".oga", ".ogg", ".m4a", ".m4b", ".mka", ".mkv", ".flac", ".aac", ".webm", ".mp3", ".mp4", ".wav"}

Entry = dict[str, Any]


@dataclass(slots=True)
class Episode:
    """An episode: what is asked for when it is to be fetched, and what its feed says of it.

    Attributes:
        published: seconds since the epoch; None when there is no date that can be read.
        order: the same for sorting: an entry without a date has that of the entry before it.
        url: whole, http or https.
        bytes, duration: as the feed says, in seconds; None where it does not.
    """

    guid: str
    title: str
    published: float | None
    order: float | None
    url: str
    type: str | None
    bytes: int | None
    duration: float | None
    season: int | None
    number: int | None
    link: str | None
    transcript: str | None

    def to_json(self) -> dict[str, Json]:
        return asdict(self)


def episodes(entries: Sequence[Entry], base: str | None) -> list[Episode]:
    """The entries that have something to listen to, in their order. Of those with the same guid, the first.

    Args:
        base: the feed's own address; None when it has none, and then relative addresses lead nowhere.
    """
    guids = _guids(entries, base)
    found: dict[str, Episode] = {}
    before: float | None = None
    for entry, guid in zip(entries, guids, strict=True):
        published = _published(entry)
        before = published if published is not None else before
        chosen = _chosen(entry, base)
        if chosen is not None:
            found.setdefault(guid, _episode(entry, guid, chosen, base, published, before))
    return list(found.values())


def plain(text: object, most: int = TITLE) -> str:
    """A text of a feed on one line, without markup and control characters."""
    unmarked = html.unescape(_MARKUP.sub("", str(text or "")))
    line = " ".join("".join(c if c.isprintable() else " " for c in unmarked).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _episode(
    entry: Entry, guid: str, chosen: Entry, base: str | None, published: float | None, order: float | None
) -> Episode:
    length = chosen.get("length") or chosen.get("filesize")
    transcript = entry.get("podcast_transcript")
    return Episode(
        guid=guid,
        title=plain(entry.get("title")) or plain(entry.get("itunes_title")),
        published=published,
        order=order,
        url=str(chosen["url"]),
        type=str(chosen.get("type") or "").partition(";")[0].strip().lower() or None,
        bytes=_whole(length) or None,  # 0 is what those write who don't know
        duration=_seconds(entry.get("itunes_duration")) or _seconds(chosen.get("duration")),
        season=_whole(entry.get("itunes_season")),
        number=_whole(entry.get("itunes_episode")),
        link=absolute(base, entry.get("link")),
        transcript=absolute(base, transcript.get("url")) if isinstance(transcript, dict) else None,
    )


# -- enclosures -----------------------------------------------------------------------------------------------------


def _chosen(entry: Entry, base: str | None) -> Entry | None:
    """The enclosure to listen to: sound before pictures that move, what says what it is before what does not."""
    best, rank = None, 0
    for enclosure in _enclosures(entry):
        url = absolute(base, enclosure.get("href") or enclosure.get("url") or enclosure.get("rdf:resource"))
        own = _rank(url, enclosure) if url else 0
        if url and own > rank:
            best, rank = {**enclosure, "url": url}, own
    return best


def _enclosures(entry: Entry) -> Iterable[Entry]:
    yield from (link for link in entry.get("links") or () if link.get("rel") == "enclosure")
    if isinstance(entry.get("enc_enclosure"), dict):  # RSS 1.0
        yield entry["enc_enclosure"]
    yield from entry.get("media_content") or ()


def _rank(url: str, enclosure: Entry) -> int:
    """0: nothing to listen to."""
    declared = str(enclosure.get("type") or enclosure.get("medium") or "").lower()
    path = urlsplit(url).path
    guessed = mimetypes.guess_type(path)[0] or ""
    by_name = guessed.startswith(("audio/", "video/")) or any(path.lower().endswith(end) for end in _MEDIA)
    if declared.startswith("audio") or "ogg" in declared:
        return 4
    if declared.startswith("video"):
        return 3
    if by_name:
        return 2
    says_nothing = declared in ("", "application/octet-stream", "binary/octet-stream")
    return 1 if says_nothing and not guessed else 0


def absolute(base: str | None, url: object) -> str | None:
    """A whole http or https address; None where none can be made of it."""
    text = str(url or "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(urljoin(base or "", text))
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or " " in parts.netloc:
        return None
    path, query = (quote(part, safe="%/:?@!$&'()*+,;=~[]") for part in (parts.path, parts.query))
    return parts._replace(path=path, query=query, fragment="").geturl()


# -- guids, dates, numbers ------------------------------------------------------------------------------------------


def _guids(entries: Sequence[Entry], base: str | None) -> list[str]:
    """A guid for each entry: its own; else what tells it from the others, which must not change with a token."""
    without_query, links = Counter[str](), Counter[str]()
    for entry in entries:
        if not entry.get("id"):
            without_query[_without_query(entry, base)] += 1
            links[str(entry.get("link") or "")] += 1
    made = []
    for entry in entries:
        address, link = _without_query(entry, base), str(entry.get("link") or "")
        if entry.get("id"):
            guid = str(entry["id"]).strip()
        elif address and without_query[address] == 1:
            guid = address
        elif link and links[link] == 1:
            guid = link
        else:
            guid = str((_chosen(entry, base) or {}).get("url") or plain(entry.get("title")))
        made.append(
            guid if len(guid) <= GUID else "sha256:" + hashlib.sha256(guid.encode("utf-8", "replace")).hexdigest()
        )
    return made


def _without_query(entry: Entry, base: str | None) -> str:
    url = str((_chosen(entry, base) or {}).get("url") or "")
    return urlsplit(url)._replace(query="", fragment="").geturl() if url else ""


def _published(entry: Entry) -> float | None:
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        parsed = dict.get(entry, name)  # feedparser's own `get` gives others in its place, and warns of it
        if parsed is not None:
            try:
                return float(calendar.timegm(parsed))
            except (ValueError, OverflowError, TypeError):
                continue
    return None


def _seconds(value: object) -> float | None:
    """``1:02:03``, ``62:03``, ``3723`` or ``3723.5`` in seconds."""
    parts = str(value or "").strip().split(":")
    if not 1 <= len(parts) <= 3:
        return None
    total = 0.0
    for part in parts:
        try:
            total = total * 60 + float(part)
        except ValueError:
            return None
    return total if math.isfinite(total) and 0 < total < 1e8 else None


def _whole(value: object) -> int | None:
    text = str(value or "").strip().replace(",", "")
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
