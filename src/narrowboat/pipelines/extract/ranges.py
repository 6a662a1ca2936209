"""Which pages a text means: ``12``, ``3-9``, ``1-3,7``, page labels (``iv-xii``), titles of the outline.

Covers: reading it, with an error that names what is wrong. Loads in workers only.
Does not cover: where labels and titles come from (``media/pdf_labels``, ``finding``).

Numbers are those of the pages in the file, from 1, last page included; ``label:12`` means the page that readers show as
12. ``end`` is the last page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from narrowboat.errors import SourceError

Ranges = list[list[int]]  # [[first, last], …] from 1

_NUMBERS = re.compile(r"(\d+|end)(?:\s*[-–—]\s*(\d+|end))?", re.IGNORECASE)
_DASH = re.compile(r"[-–—]")
_HINT = "write it as 12, 3-9 or 1-3,7; page labels (iv-xii, label:12) and titles of the outline are known too"


@dataclass(frozen=True)
class Places:
    """What may be named in a document.

    Attributes:
        pages: how many there are.
        labels: of each page in order; empty when the document has none.
        titles: of the outline, as :func:`folded`, with their pages.
    """

    pages: int
    labels: Sequence[str] = ()
    titles: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def folded(title: str) -> str:
    """A title as it is compared: in one case, with single spaces."""
    return " ".join(title.casefold().split())


def read_ranges(text: str, places: Places) -> Ranges:
    """The pages that ``text`` means, in the order that it says.

    Raises:
        SourceError: it means none; the message names it. Fact ``reason`` is ``range``.
    """
    title = places.titles.get(folded(text))
    if title is not None:
        return [list(title)]
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        raise _bad(text, "it is empty")
    return [_part(part, text, places) for part in parts if part]


def shown(ranges: Ranges) -> str:
    """``1-3,7``."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def page_count(ranges: Ranges) -> int:
    """How many pages there are, each counted once."""
    return len({page for first, last in ranges for page in range(first, last + 1)})


def _part(part: str, text: str, places: Places) -> list[int]:
    numbers = _NUMBERS.fullmatch(part)
    if numbers:
        first, last = (places.pages if word.lower() == "end" else int(word) for word in numbers.groups(numbers[1]))
    elif (title := places.titles.get(folded(part))) is not None:
        first, last = title
    elif (found := _labelled(part.removeprefix("label:"), places.labels)) is not None:
        first, last = found
    else:
        why = "there is no such page label or title" if places.labels or places.titles else "it is no number of a page"
        raise _bad(text, why if part == text else f"{part!r}: {why}")
    if first < 1:
        raise _bad(text, "pages are counted from 1")
    if last < first:
        raise _bad(text, f"it goes backwards, from {first} to {last}")
    if last > places.pages:
        raise _bad(text, f"the document has {places.pages} {'page' if places.pages == 1 else 'pages'}")
    return [first, last]


def _labelled(part: str, labels: Sequence[str]) -> tuple[int, int] | None:
    """Pages from a label, or from one label to another; labels have dashes too (A-3), so each dash is tried."""
    if part in labels:
        page = labels.index(part) + 1
        return page, page
    for dash in _DASH.finditer(part):
        first, last = part[: dash.start()].strip(), part[dash.end() :].strip()
        if first in labels and last in labels:
            start = labels.index(first)
            after = [page for page in range(start, len(labels)) if labels[page] == last]
            return start + 1, (after[0] if after else labels.index(last)) + 1
    return None


def _bad(text: str, why: str) -> SourceError:
    return SourceError(f"{text[:80]!r} is no range of pages: {why}", hint=_HINT, reason="range")
