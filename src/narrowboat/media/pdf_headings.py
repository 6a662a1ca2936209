"""Headings of a PDF that has no outline: lines in larger or bolder type. Loads in workers only.

Covers: what type most of the text is in, which lines stand out from it, and how deep they are.
Does not cover: making sections of them (``pipelines/extract/finding``).

A guess, as good as type can tell: a line is a heading when its type is a sixth larger than that of the text, when it is
short, and when few lines are like it. Lines that come again on many pages (running heads) are none.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from narrowboat.media.pdf_document import opened, pages_of
from narrowboat.media.pdf_outline import Entry
from narrowboat.media.pdf_text import document_of
from narrowboat.media.pdf_unfold import Unfolding

#: How much larger than the text's a heading's type is, at least.
_LARGER = 1.16
#: Characters of a page that are looked at; pages; words and characters of a heading.
_MOST_CHARACTERS, _MOST_PAGES, _MOST_WORDS, _LONGEST = 6000, 3000, 14, 120
_LEVELS = 3
#: Headings of a page, and pages of a book, beyond which the lines are something else.
_MANY, _AGAIN = 6, 3
_AT_ONCE = 10
_LETTERS = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class _Line:
    page: int
    text: str
    size: float  # of its type, in points
    top: float  # from 0, the upper edge, to 1


def headings(path: str | Path, name: str, pages: int, password: str = "") -> list[Entry]:
    """The headings in order, as entries of an outline."""
    sizes: Counter[float] = Counter()  # of type -> characters
    large: list[_Line] = []
    for line in _lines(path, name, min(pages, _MOST_PAGES), password):
        sizes[line.size] += len(line.text)
        if len(line.text) <= _LONGEST and len(line.text.split()) <= _MOST_WORDS:
            large.append(line)
    if not sizes:
        return []
    text = sizes.most_common(1)[0][0]
    found = [line for line in large if line.size >= _LARGER * text and _LETTERS.search(line.text)]
    found = _rare(found)
    levels = sorted({line.size for line in found}, reverse=True)[:_LEVELS]
    return [Entry(levels.index(line.size) + 1, line.text, line.page, line.top) for line in found if line.size in levels]


def _rare(lines: list[_Line]) -> list[_Line]:
    """Without those that come again and again, and those of pages that have nothing but."""
    pages_with = Counter(text for text, _ in {(line.text.casefold(), line.page) for line in lines})
    kept = [line for line in lines if pages_with[line.text.casefold()] < _AGAIN]
    of_page = Counter(line.page for line in kept)
    return [line for line in kept if of_page[line.page] <= _MANY]


def _lines(path: str | Path, name: str, pages: int, password: str) -> Iterator[_Line]:
    with opened(path, name, password) as looked_at:
        known, unfolding = pages_of(looked_at, name), Unfolding()
        for begin in range(0, pages, _AT_ONCE):
            document = document_of(path, name, password)
            try:
                for number in range(begin, min(begin + _AT_ONCE, pages)):
                    if not unfolding.too_large(known[number]):
                        yield from _of_page(document, number)
            finally:
                document.close()


def _of_page(document: pypdfium2.PdfDocument, number: int) -> Iterator[_Line]:
    try:
        page = document[number]
        height = page.get_height() or 1.0
        text = page.get_textpage()
    except pypdfium2.PdfiumError:
        return
    try:
        count = min(text.count_chars(), _MOST_CHARACTERS)
        written = text.get_text_range(0, count, errors="replace") if count > 0 else ""
        at = 0
        for line in written.split("\r\n"):
            shown = " ".join(line.split())
            if shown and at < count:
                yield _Line(number, shown, _size(text, at + _first(line)), _top(text, at + _first(line), height))
            at += len(line) + 2
    finally:
        text.close()
        page.close()


def _first(line: str) -> int:
    """Where the first character is that shows."""
    return len(line) - len(line.lstrip())


def _size(text: pypdfium2.PdfTextPage, at: int) -> float:
    """The size of a character's type as it shows: what the font says, times what the page makes of it."""
    matrix = raw.FS_MATRIX()
    size = float(raw.FPDFText_GetFontSize(text, at))
    if raw.FPDFText_GetMatrix(text, at, ctypes.byref(matrix)):
        size *= math.hypot(matrix.b, matrix.d) or 1.0
    return round(size * 2) / 2


def _top(text: pypdfium2.PdfTextPage, at: int, height: float) -> float:
    _, _, _, upper = text.get_charbox(at, loose=True)
    return min(1.0, max(0.0, (height - float(upper)) / height))
