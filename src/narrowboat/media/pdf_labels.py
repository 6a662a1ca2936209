"""The labels of a PDF's pages: what a reader shows in the place of their numbers (iv, A-3).

Covers: reading the document's ranges of labels, the label of each page. Loads in workers only.
Does not cover: finding a page by its label (``pipelines/extract/ranges``).

Pages are counted from 0 here, as the document counts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pikepdf

from narrowboat.media.pdf_document import text_of

#: Ranges that are read; a book has a handful.
_MOST_RANGES = 2000
_MOST_ROMAN = 3999  # what is larger is written with digits
_ROMAN = {1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V"}
_ROMAN |= {4: "IV", 1: "I"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pages from ``first`` on: ``prefix``, and a number from ``start`` in a ``style`` (D, R, r, A, a; none: "")."""

    first: int
    prefix: str
    style: str
    start: int

    def label(self, page: int) -> str:
        """The label of a page of this range."""
        number = self.start + page - self.first
        if self.style in ("R", "r"):
            written = _roman(number)
        elif self.style in ("A", "a"):
            written = _letters(number)
        else:
            written = str(number) if self.style == "D" else ""
        return self.prefix + (written if self.style in ("R", "A", "D", "") else written.lower())


def labelled(document: pikepdf.Pdf, pages: int) -> list[Labelled]:
    """The ranges of labels in order; empty when the document has none, or when they say no more than page numbers."""
    found: dict[int, Labelled] = {}
    try:
        tree = document.Root.get("/PageLabels")
        if not isinstance(tree, pikepdf.Dictionary):
            return []
        for count, (first, how) in enumerate(pikepdf.NumberTree(tree).items()):
            if count >= _MOST_RANGES:
                break
            if 0 <= int(first) < pages and isinstance(how, pikepdf.Dictionary):
                found[int(first)] = _labelled(int(first), how)
    except (pikepdf.PdfError, pikepdf.QpdfRuntimeError, ValueError, TypeError, RuntimeError, OverflowError):
        return []  # a broken tree: pages have numbers all the same
    ranges = [found[first] for first in sorted(found)]
    plain = all(one.style == "D" and not one.prefix and one.start == one.first + 1 for one in ranges)
    return [] if plain or not ranges or ranges[0].first != 0 else ranges


def labels(ranges: list[Labelled], pages: int) -> list[str]:
    """The label of each page."""
    made = []
    for place, one in enumerate(ranges):
        end = ranges[place + 1].first if place + 1 < len(ranges) else pages
        made += [one.label(page) for page in range(one.first, end)]
    return made


def _labelled(first: int, how: pikepdf.Dictionary) -> Labelled:
    start = int(how.get("/St", 1))
    return Labelled(
        first, text_of(how.get("/P", ""), 40), text_of(how.get("/S", "")).removeprefix("/")[:1], max(0, start)
    )


def _roman(number: int) -> str:
    if not 0 < number <= _MOST_ROMAN:
        return str(number)
    made = ""
    for value, letters in _ROMAN.items():
        made += letters * (number // value)
        number %= value
    return made


def _letters(number: int) -> str:
    """A to Z, then AA to ZZ, then AAA: the same letter, as often as it takes."""
    if not 0 < number <= 26 * 40:
        return str(number)
    return chr(ord("A") + (number - 1) % 26) * ((number - 1) // 26 + 1)
