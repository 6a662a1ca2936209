"""Reading a feed: RSS, Atom and what podcasts add to them, to small JSON. Loads in workers only.

Covers: the step :func:`read`: parsing (feedparser), what is no feed, which episodes were asked for.
Does not cover: fetching the document (``feed_document``), one entry (``feed_entries``), what is done with the episodes
(``runner/feeds``).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import feedparser

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.sizes import format_size
from narrowboat.sources.feed_document import HEAD, looks_like
from narrowboat.sources.feed_entries import Episode, absolute, episodes, plain

#: Characters that an entity of a document may stand for. Those that feeds declare stand for one; a bomb for a million.
_MOST_ENTITY = 32
_ENTITY = re.compile(rb"<!ENTITY\s[^\"'>]*(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_ROOT = re.compile(rb"<[a-z]", re.IGNORECASE)
_PAGE = 1 << 18  # bytes of a web page in which its feed is looked for
_PROLOG = 1 << 20  # bytes in which a feed has to begin


def read(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the episodes of the feed in the file ``inputs["path"]``.

    Further inputs: ``shown`` (what people call it), ``url`` (where it was found, or None), ``charset`` (as the server
    said, or None); what is asked for: ``latest`` (how many of the newest), ``since`` (seconds since the epoch),
    ``match`` (in the title: text whatever its case, or a regular expression between slashes), each None for all.

    Returns:
        ``title``; ``guid`` of the feed (``podcast:guid``) and ``self`` (its address, as it says), or None; counts:
        ``entries``, ``episodes`` (with something to listen to), ``chosen``; ``warning``, or None; ``path`` of a file
        with one chosen episode a line, newest first: the fields of :class:`~narrowboat.sources.feed_entries.Episode`.

    Raises:
        SourceError: it is no feed, or one that can't be read.
    """
    path, shown = Path(inputs["path"]), str(inputs["shown"])
    with path.open("rb") as file:
        head = file.read(HEAD)
    _check_kind(path, looks_like(head), shown, inputs.get("url"))
    _check_entities(path, shown)
    parsed = _parsed(path, inputs.get("charset"), shown)
    own = next((link.get("href") for link in parsed.feed.get("links") or () if link.get("rel") == "self"), None)
    base = inputs.get("url") or absolute(None, own)
    found = episodes(parsed.entries, base)
    chosen = choose(found, inputs)
    target = context.scratch() / "episodes.jsonl"
    with target.open("w", encoding="utf-8") as lines:
        for episode in chosen:
            lines.write(json.dumps(episode.to_json()) + "\n")
    return {
        "title": plain(parsed.feed.get("title")),
        "guid": plain(parsed.feed.get("podcast_guid"), 200) or None,
        "self": absolute(base, own),
        "entries": len(parsed.entries),
        "episodes": len(found),
        "chosen": len(chosen),
        "warning": _warning(parsed),
        "path": str(target),
    }


# -- which episodes -------------------------------------------------------------------------------------------------


def choose(found: Sequence[Episode], asked: dict[str, Any]) -> list[Episode]:
    """Those that were asked for, newest first; those without any date keep their places among each other."""
    chosen = sorted(found, key=lambda episode: -(episode.order or 0.0))
    if asked.get("since") is not None:
        chosen = [episode for episode in chosen if (episode.order or 0.0) >= asked["since"]]
    if asked.get("match") is not None:
        matches = matcher(asked["match"])
        chosen = [episode for episode in chosen if matches(episode.title)]
    return list(itertools.islice(chosen, asked.get("latest")))


def matcher(text: str) -> Callable[[str], bool]:
    """Whether a title has ``text`` in it, whatever its case; ``/…/`` is a regular expression."""
    if len(text) > 2 and text[0] == text[-1] == "/":
        pattern = re.compile(text[1:-1], re.IGNORECASE)
        return lambda title: pattern.search(title) is not None
    wanted = text.casefold()
    return lambda title: wanted in title.casefold()


# -- the document ---------------------------------------------------------------------------------------------------


def _parsed(path: Path, charset: str | None, shown: str) -> Any:
    headers = {"content-type": f"application/xml; charset={charset}"} if charset else {}
    try:
        with path.open("rb") as file:  # markup stays as it is: cleaning it takes 20 times as long
            parsed = feedparser.parse(file, response_headers=headers, resolve_relative_uris=False, sanitize_html=False)
    except Exception as error:  # its parser for broken documents raises this and that
        raise SourceError(f"{shown} can't be read as a feed: {type(error).__name__}: {error}") from None
    if not parsed.version and not parsed.entries:
        raise SourceError(f"{shown} is XML, but no feed: neither RSS nor Atom", hint="give the address of its feed")
    return parsed


def _warning(parsed: Any) -> str | None:
    error = parsed.bozo_exception if parsed.bozo else None
    if error is None or isinstance(error, feedparser.CharacterEncodingOverride):  # that is read all the same
        return None
    where = f" (line {error.getLineNumber()})" if hasattr(error, "getLineNumber") else ""
    what = error.getMessage() if hasattr(error, "getMessage") else str(error)
    return f"it is not well-formed, and was read as far as that goes: {plain(what, 100)}{where}"


def _check_entities(path: Path, shown: str) -> None:
    """Refuse entities that stand for much: a few of them, named often enough, fill any memory."""
    with path.open("rb") as file:
        begin = re.sub(rb"<!--.*?(-->|$)", b"", file.read(_PROLOG).replace(b"\0", b""), flags=re.DOTALL)
    root = _ROOT.search(begin)
    if root is None:
        raise SourceError(f"{shown} is no feed: nothing begins in its first {format_size(_PROLOG)}")
    for found in _ENTITY.finditer(begin, 0, root.start()):
        if len(found[1]) - 2 > _MOST_ENTITY or b"&" in found[1][1:-1].replace(b"&#", b""):
            raise SourceError(f"{shown} is not read: it declares entities that stand for more than a character")


def _check_kind(path: Path, looks: str, shown: str, url: str | None) -> None:
    if looks in ("feed", "xml"):
        return
    if looks == "page":
        with path.open("rb") as file:
            page = _Page(url)
            page.feed(file.read(_PAGE).decode("utf-8", "replace"))
        named = "its feed is " + " or ".join(page.feeds[:3]) if page.feeds else "give the address of its feed"
        raise SourceError(f"{shown} is a web page and no feed", hint=named, looks=looks)
    told = {"list": "a list of feeds (OPML)", "json": "a JSON feed, which is not read"}.get(looks, "no feed")
    hint = {"list": "give the feeds in it", "json": "give the address of its RSS or Atom feed"}.get(looks)
    raise SourceError(f"{shown} is {told}", hint=hint or "give the address of a feed (RSS or Atom)", looks=looks)


class _Page(HTMLParser):
    """Finds the feeds that a web page names."""

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self._url = url
        self.feeds: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        is_feed = given.get("type", "").lower() in ("application/rss+xml", "application/atom+xml")
        if tag == "link" and "alternate" in given.get("rel", "").lower().split() and is_feed and given.get("href"):
            self.feeds.append(urljoin(self._url or "", given["href"]))
