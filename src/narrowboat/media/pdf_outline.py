"""The outline of a PDF (its bookmarks), with the page that each entry leads to. Loads in workers only.

Covers: walking outlines of any shape in bounded time, resolving what an entry leads to.
Does not cover: making sections of it (``pipelines/extract/finding``).

Outlines come broken: in circles, 100,000 deep, leading nowhere. What leads nowhere is left out, what comes twice is
read once, what is deeper than ``DEPTH`` or behind the first ``MOST`` is not read, and that is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf

from narrowboat.media.pdf_document import text_of

#: Levels that are read, and entries: the largest manuals have some thousands.
DEPTH, MOST = 12, 20_000
_MOST_SIBLINGS = 200_000  # entries looked at, those that lead nowhere included
_HOPS = 4  # from a name to a destination
_BROKEN = (pikepdf.PdfError, pikepdf.QpdfRuntimeError, ValueError, TypeError, RuntimeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that leads to a page.

    Attributes:
        level: 1 for those at the top.
        page: from 0.
        top: how far down the page it leads, from 0 (the upper edge) to 1; 0 where it leads to the page as a whole.
    """

    level: int
    title: str
    page: int
    top: float = 0.0


@dataclass(frozen=True, slots=True)
class Outline:
    """What was read; ``cut`` when there was more."""

    entries: list[Entry]
    cut: bool


def read_outline(document: pikepdf.Pdf, pages: list[pikepdf.Object]) -> Outline:
    """The entries in the order of reading."""
    numbers = {page.objgen: number for number, page in enumerate(pages)}
    found: list[Entry] = []
    cut = False
    for level, item in _items(document):
        if item is None or len(found) >= MOST:
            cut = True
            break
        if level > DEPTH:
            cut = True
            continue
        try:
            entry = _entry(document, item, level, numbers)
        except _BROKEN:
            entry = None
        if entry is not None:
            found.append(entry)
    return Outline(found, cut)


def _items(document: pikepdf.Pdf) -> Iterator[tuple[int, pikepdf.Object | None]]:
    """Each entry once with its level, parents first; what is below those too deep is not entered; None for the rest."""
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[int, Any]] = [(1, _get(document.Root.get("/Outlines"), "/First"))]
    while waiting:
        level, item = waiting.pop()
        if not isinstance(item, pikepdf.Dictionary) or item.objgen in seen:
            continue
        if len(seen) >= _MOST_SIBLINGS:
            yield level, None
            return
        if not item.is_indirect:  # each must be an object of its own: another could not be told from it
            continue
        seen.add(item.objgen)
        waiting.append((level, _get(item, "/Next")))
        if level <= DEPTH:
            waiting.append((level + 1, _get(item, "/First")))
        yield level, item


def _entry(
    document: pikepdf.Pdf, item: pikepdf.Object, level: int, numbers: dict[tuple[int, int], int]
) -> Entry | None:
    target = item.get("/Dest")
    if target is None and _get(item.get("/A"), "/S") == pikepdf.Name.GoTo:
        target = _get(item.get("/A"), "/D")
    place = _resolved(document, target)
    if place is None or len(place) == 0:
        return None
    first = place[0]
    if isinstance(first, pikepdf.Dictionary):
        page = numbers.get(first.objgen)
    else:
        page = int(first) if isinstance(first, int) and 0 <= first < len(numbers) else None
    if page is None:
        return None
    title = text_of(item.get("/Title", "")) or f"page {page + 1}"
    return Entry(level, title, page, _top(place, first))


def _resolved(document: pikepdf.Pdf, target: Any) -> pikepdf.Array | None:
    """The array that a destination is in the end: names and dictionaries lead to it."""
    for _ in range(_HOPS):
        if isinstance(target, pikepdf.Array):
            return target
        if isinstance(target, pikepdf.Dictionary):
            target = target.get("/D")
        elif isinstance(target, pikepdf.Name):
            target = _get(document.Root.get("/Dests"), str(target))
        elif isinstance(target, pikepdf.String):
            tree = _get(document.Root.get("/Names"), "/Dests")
            target = pikepdf.NameTree(tree).get(str(target)) if isinstance(tree, pikepdf.Dictionary) else None
        else:
            return None
    return None


def _top(place: pikepdf.Array, page: Any) -> float:
    kind = str(place[1]) if len(place) > 1 else ""
    at = {"/XYZ": 3, "/FitH": 2, "/FitBH": 2, "/FitR": 5}.get(kind)
    if at is None or len(place) <= at or not isinstance(page, pikepdf.Dictionary):
        return 0.0
    box = pikepdf.Page(page).mediabox
    bottom, upper = sorted((float(box[1]), float(box[3])))
    try:
        down = (upper - float(place[at])) / (upper - bottom)
    except (TypeError, ValueError, ZeroDivisionError):  # null: as the page is shown now
        return 0.0
    return min(1.0, max(0.0, down))


def _get(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, pikepdf.Dictionary) else None
