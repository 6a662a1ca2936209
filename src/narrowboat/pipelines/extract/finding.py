"""Which sections a document has: as a file says, or found in it. Loads in workers only.

Covers: the step :func:`find`; sections from the outline, from page labels, of so many pages each.
Does not cover: reading outlines and labels (``media/``), headings (``media/pdf_headings``), section files.
"""

from __future__ import annotations

from typing import Any

import pikepdf

from narrowboat.errors import NarrowboatError, SourceError
from narrowboat.media.pdf_document import opened, pages_of, read_password
from narrowboat.media.pdf_labels import labelled, labels
from narrowboat.media.pdf_outline import DEPTH, MOST, Entry, read_outline
from narrowboat.pipelines.extract.ranges import Places, Ranges, folded, read_ranges, shown
from narrowboat.pipelines.extract.section_files import MOST_SECTIONS, read_sections
from narrowboat.values import Json

Section = dict[str, Any]

#: A section that begins further up its first page than this leaves nothing of that page to the one before.
_HEAD = 0.25


def find(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step. Inputs: ``path``, ``name``, ``password_file``; ``by``: ``outline``, ``headings``, ``labels``, ``pages``,
    ``file``, or ``auto`` (the first three, in that order, until one finds some); ``level`` (of the outline, or None for
    the first that has several entries); ``each`` (pages of a section); ``text`` (of the section file); ``asked``, which
    is given back.

    Returns:
        ``by``, which way found them; ``sections``: ``name``, ``pages`` (``"1-3,7"``), ``ranges`` (``[[first, last],
        …]`` from 1) and ``error`` (JSON, with no ranges, or None); ``notes``, texts for people.

    Raises:
        SourceError: none were found, or the document can't be opened.
    """
    name, by = str(inputs["name"]), inputs["by"]
    with opened(inputs["path"], name, read_password(inputs.get("password_file"))) as document:
        pages = pages_of(document, name)
        notes: list[str] = []
        if by == "pages":
            found = _each(len(pages), inputs["each"])
        elif by == "file":
            found = _named(document, pages, read_sections(inputs["text"]))
        else:
            by, found, notes = _looked_for(document, pages, inputs)
    if not found:
        raise _nothing(name, by)
    if len(found) > MOST_SECTIONS:
        notes = [*notes, f"it has {len(found)} sections; the first {MOST_SECTIONS} are taken"]
    return {"by": by, "sections": found[:MOST_SECTIONS], "notes": notes, "asked": inputs["asked"]}


def _looked_for(
    document: pikepdf.Pdf, pages: list[pikepdf.Object], inputs: dict[str, Any]
) -> tuple[str, list[Section], list[str]]:
    by = inputs["by"]
    notes: list[str] = []
    found: list[Section] = []
    if by in ("auto", "outline"):
        outline = read_outline(document, pages)
        found = outline_sections(outline.entries, len(pages), inputs.get("level"))
        if outline.cut:
            notes = [f"its outline has more than {MOST} entries or {DEPTH} levels; the rest is left out"]
        notes += _too_deep("outline", outline.entries, inputs.get("level"))
        if found or by == "outline":
            return "outline", found, notes
    if by in ("auto", "headings"):
        from narrowboat.media.pdf_headings import headings  # it loads pdfium

        password = read_password(inputs.get("password_file"))
        entries = headings(inputs["path"], str(inputs["name"]), len(pages), password)
        found = outline_sections(entries, len(pages), inputs.get("level"))
        notes += _too_deep("headings", entries, inputs.get("level"))
        if found or by == "headings":
            return "headings", found, notes
    found = _by_labels(document, len(pages))
    return "labels" if found else by, found, notes


def _too_deep(what: str, entries: list[Entry], level: int | None) -> list[str]:
    """What is said when sections of a level were asked for that there is not."""
    deepest = max((entry.level for entry in entries), default=0)
    if level is None or not 0 < deepest < level:
        return []
    return [f"level {level} was asked for, and the deepest of its {what} is {deepest}: that is taken"]


def outline_sections(entries: list[Entry], pages: int, level: int | None = None) -> list[Section]:
    """Sections from the entries of one level; where an entry has none below it, itself.

    Each goes to the page before the next one's, or to the same page when the next begins further down on it.
    """
    if not entries:
        return []
    chosen = _of_level(entries, level or _first_level(entries))
    chosen.sort(key=lambda entry: (entry.page, entry.top))
    found = []
    for place, entry in enumerate(chosen):
        after = chosen[place + 1] if place + 1 < len(chosen) else None
        last = pages - 1 if after is None else after.page - (after.top < _HEAD)
        found.append(_section(entry.title, [[entry.page + 1, max(last, entry.page) + 1]]))
    return found


def _first_level(entries: list[Entry]) -> int:
    """The first level with more than one entry: the one above it is the document's title."""
    levels = [entry.level for entry in entries]
    return next((level for level in sorted(set(levels)) if levels.count(level) > 1), min(levels))


def _of_level(entries: list[Entry], level: int) -> list[Entry]:
    chosen = []
    for place, entry in enumerate(entries):
        below = entries[place + 1] if place + 1 < len(entries) else None
        leads = below is not None and below.level > entry.level  # it has entries below it, which are taken in its place
        if entry.level == level or (entry.level < level and not leads):
            chosen.append(entry)
        elif entry.level < level and below is not None and below.page > entry.page:
            chosen.append(entry)  # what stands before the first of them
    return chosen


def _by_labels(document: pikepdf.Pdf, pages: int) -> list[Section]:
    ranges = labelled(document, pages)
    if len(ranges) < 2:
        return []
    found = []
    for place, one in enumerate(ranges):
        last = (ranges[place + 1].first if place + 1 < len(ranges) else pages) - 1
        names = dict.fromkeys(name for name in (one.label(one.first), one.label(last)) if name)
        found.append(_section(f"Pages {'-'.join(names)}".strip(), [[one.first + 1, last + 1]]))
    return found


def _each(pages: int, each: int) -> list[Section]:
    bounds = [(first, min(first + each - 1, pages)) for first in range(1, pages + 1, each)]
    return [_section(f"Pages {shown([[first, last]])}", [[first, last]]) for first, last in bounds]


def _named(document: pikepdf.Pdf, pages: list[pikepdf.Object], given: list[dict[str, str]]) -> list[Section]:
    places = _places(document, pages)
    found = []
    for section in given:
        try:
            found.append(_section(section["name"], read_ranges(section["pages"], places)))
        except NarrowboatError as error:
            found.append({"name": section["name"], "pages": section["pages"], "ranges": [], "error": error.to_json()})
    return found


def _places(document: pikepdf.Pdf, pages: list[pikepdf.Object]) -> Places:
    titles: dict[str, tuple[int, int]] = {}
    entries = read_outline(document, pages).entries
    for level in sorted({entry.level for entry in entries}):
        for section in outline_sections(entries, len(pages), level):
            first, last = section["ranges"][0]
            titles.setdefault(folded(section["name"]), (first, last))
    return Places(len(pages), labels(labelled(document, len(pages)), len(pages)), titles)


def _section(name: str, ranges: Ranges) -> Section:
    return {"name": name, "pages": shown(ranges), "ranges": ranges, "error": None}


def _nothing(name: str, by: str) -> SourceError:
    looked = {"auto": "neither an outline nor headings nor page labels", "labels": "no page labels with several ranges"}
    return SourceError(
        f"{name} has {looked.get(by, f'no {by}')} to find sections by",
        hint="give them in a file with --sections, or take so many pages each with --sections pages:10",
        reason="no_sections",
    )
