"""The text of a PDF's pages, in the memory of a few. Loads in workers only.

Covers: text page by page, and which pages are pictures without text (scans).
Does not cover: reading text out of pictures, which nothing here does.

pdfium keeps what it has read of an open document, so it is opened again every few pages. Measured on 400 pages of 180
MB with 4,800 objects: 10 MiB over what a worker begins with, flat, and 2 s; with 130,000 objects 79 MiB.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pikepdf
import pypdfium2
from pypdfium2 import raw

from narrowboat.errors import SourceError
from narrowboat.media.pdf_document import MOST_UNFOLDED, locked, opened, pages_of
from narrowboat.media.pdf_unfold import Unfolding
from narrowboat.sizes import format_size

_AT_ONCE = 10  # pages between two openings
#: Characters of a page that are kept: a page of a telephone book has 20,000.
MOST_CHARACTERS = 400_000
_DEPTH = 2  # how far into forms a picture is looked for

#: pdfium ends lines with CR LF, and marks a hyphen that parts a word at the end of one with U+FFFE or U+0002, with the
#: end of the line after it or without.
_PARTED = re.compile("[\ufffe\x02](?:\r\n)?")


@dataclass(frozen=True, slots=True)
class PageText:
    """A page's text, lines as they stand.

    Attributes:
        number: from 1.
        scanned: it shows a picture and has no text.
        problem: why the page could not be read; None when it could.
    """

    number: int
    text: str
    scanned: bool = False
    problem: str | None = None


def page_texts(path: str | Path, name: str, numbers: Iterable[int], password: str = "") -> Iterator[PageText]:
    """The texts of some pages, in the order that is asked for.

    Raises:
        SourceError: the document can't be opened.
    """
    waiting = iter(numbers)
    with opened(path, name, password) as looked_at:
        pages, unfolding = pages_of(looked_at, name), Unfolding()
        while some := list(islice(waiting, _AT_ONCE)):
            document = document_of(path, name, password)
            try:
                for number in some:
                    yield _page(document, number, pages[number - 1], unfolding)
            finally:
                document.close()


def document_of(path: str | Path, name: str, password: str) -> pypdfium2.PdfDocument:
    """pdfium's own opening of a document; to be closed.

    Raises:
        SourceError: it can't.
    """
    try:
        return pypdfium2.PdfDocument(path, password=password or None)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise locked(name, given=bool(password)) from None
        raise SourceError(f"the text of {name} can't be read: {error}", reason="damaged") from None


def _page(document: pypdfium2.PdfDocument, number: int, known: pikepdf.Object, unfolding: Unfolding) -> PageText:
    if unfolding.too_large(known):
        size = format_size(MOST_UNFOLDED)
        return PageText(number, "", problem=f"it holds compressed data that unfolds to more than {size} in one piece")
    try:
        page = document[number - 1]
    except (pypdfium2.PdfiumError, IndexError) as error:
        return PageText(number, "", problem=str(error))
    try:
        text = _text(page)
        return PageText(number, text, scanned=not text.strip() and _has_picture(page))
    except pypdfium2.PdfiumError as error:
        return PageText(number, "", problem=str(error))
    finally:
        page.close()


def _text(page: pypdfium2.PdfPage) -> str:
    text_page = page.get_textpage()
    try:
        count = min(text_page.count_chars(), MOST_CHARACTERS)
        if count <= 0:
            return ""
        text: str = text_page.get_text_range(0, count, errors="replace")
    finally:
        text_page.close()
    return _PARTED.sub("", text).replace("\r\n", "\n").replace("\0", "")


def _has_picture(page: pypdfium2.PdfPage) -> bool:
    with contextlib.suppress(pypdfium2.PdfiumError):
        return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=_DEPTH))
    return False
