"""The text of sections, for engines that read no PDF. Loads in workers only.

Covers: the step :func:`texts`, passages of a page (paragraphs as well as they can be told), scanned pages.
Does not cover: reading text out of a PDF (``media/pdf_text``), drawing pages (``media/pdf_pictures``), asking
(``asking``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.media.pdf_document import read_password
from narrowboat.media.pdf_text import PageText, page_texts
from narrowboat.pipelines.extract.ranges import shown
from narrowboat.values import Json

#: Scanned pages of a section that go along as pictures: 100 to 400 KB each.
MOST_PICTURES = 20
#: Characters of a section that are read: 3,000 pages of print.
MOST_CHARACTERS = 8_000_000
_ENDS = re.compile(r"[.!?:;…。！？][\"'”’»)\]」]*$")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_SHORT = 0.7  # of the longest line: a line that is shorter ends its paragraph, or is a heading
_BULLET = re.compile(r"^\s*(?:[•▪◦‣·*–—-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")


def texts(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step. Inputs: ``path``, ``name``, ``password_file``, ``folder``, ``sections`` (``[{"file", "ranges"}]``),
    ``pictures``: whether scanned pages are drawn, for an engine that looks at pictures.

    Writes for each section a file of JSON lines, ``{"page", "text"}``. Pages are numbers in the document, from 1.

    Returns:
        ``files``: for each section ``path``, ``characters``, ``pictures`` (``{"page", "path"}`` of each), ``note``
        (what readers should know, or None), and ``error`` (JSON) where there is nothing to ask about, else None.

    Raises:
        SourceError: the document can't be opened.
    """
    folder = Path(inputs["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    password = read_password(inputs.get("password_file"))
    files = []
    for place, section in enumerate(inputs["sections"]):
        numbers = list(dict.fromkeys(n for first, last in section["ranges"] for n in range(first, last + 1)))
        pages = page_texts(inputs["path"], str(inputs["name"]), numbers, password)
        written = _written(pages, numbers, folder / section["file"])
        files.append(_with_pictures(written, inputs, password) if inputs["pictures"] else written)
        context.progress((place + 1) / len(inputs["sections"]), "text")
    return {"files": files}


def read_texts(path: str | Path) -> Iterator[dict[str, Any]]:
    """The pages in a file that :func:`texts` wrote."""
    with Path(path).open("rb") as file:
        for line in file:
            yield json.loads(line)


def passages(path: str | Path) -> Iterator[dict[str, Any]]:
    """The paragraphs of those pages: ``{"page", "text"}``, each on one line."""
    for page in read_texts(path):
        for text in paragraphs(page["text"]):
            yield {"page": page["page"], "text": text}


def paragraphs(text: str) -> Iterator[str]:
    """A page's paragraphs, each on one line. Where lines end early, one ends, and after what ends a sentence there."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    longest = max(map(len, lines), default=0)
    begun = ""
    for line in lines:
        if not line or (begun and _BULLET.match(line)):
            if begun:
                yield begun
            begun = line
            continue
        begun = _joined(begun, line)
        if len(line) < _SHORT * longest and (_ENDS.search(line) or len(line) < longest / 2):
            yield begun
            begun = ""
    if begun:
        yield begun


def _joined(begun: str, line: str) -> str:
    if not begun:
        return line
    if _UNSPACED.match(begun[-1]) and _UNSPACED.match(line[0]):
        return begun + line
    if begun.endswith("-") and len(begun) > 1 and begun[-2].isalpha() and line[:1].islower():
        return begun[:-1] + line
    return f"{begun} {line}"


def _written(pages: Iterator[PageText], numbers: list[int], path: Path) -> dict[str, Json]:
    characters, scanned, problems = 0, list[int](), list[str]()
    with path.open("w", encoding="utf-8", errors="replace") as file:
        for page in pages:
            if page.scanned:
                scanned.append(page.number)
            if page.problem:
                problems.append(f"page {page.number} can't be read: {page.problem}")
            if not page.text.strip():
                continue
            characters += len(page.text)
            if characters > MOST_CHARACTERS:
                problems.append(f"from page {page.number} on the text is left out: there is too much of it")
                break
            file.write(json.dumps({"page": page.number, "text": page.text}) + "\n")
    error = _no_text(numbers, scanned, problems) if characters == 0 else None
    notes = [f"{_pages(scanned)} without text: scanned"] if scanned else []
    return {
        "path": str(path),
        "characters": min(characters, MOST_CHARACTERS),
        "scanned": scanned,
        "pictures": [],
        "note": "; ".join(notes + problems[:3]) or None,
        "error": None if error is None else error.to_json(),
    }


def _with_pictures(written: dict[str, Any], inputs: dict[str, Any], password: str) -> dict[str, Any]:
    """The same, with pictures of the first scanned pages."""
    scanned = written["scanned"]
    if not scanned:
        return written
    from narrowboat.media.pdf_pictures import page_pictures  # it loads Pillow

    start = Path(written["path"]).with_suffix("")
    drawn = page_pictures(inputs["path"], str(inputs["name"]), scanned[:MOST_PICTURES], password, start)
    pictures: list[dict[str, Any]] = [{"page": int(path.stem.rpartition("-")[2]), "path": str(path)} for path in drawn]
    if not pictures:
        return written
    note = f"{written['note']}; asked about as pictures: {_numbers([picture['page'] for picture in pictures])}"
    return {**written, "pictures": pictures, "note": note, "error": None}


def _no_text(numbers: list[int], scanned: list[int], problems: list[str]) -> SourceError:
    if scanned:
        return SourceError(
            f"{_pages(scanned)} without text: scanned",
            hint="use an engine that looks at pictures (--model gemini:MODEL or openai:MODEL), or have a program for"
            " OCR add the text, such as ocrmypdf",
            reason="scanned",
            pages=scanned[:100],
        )
    if problems:
        return SourceError(problems[0], reason="damaged")
    return SourceError(f"there is no text on {_numbers(numbers)}", reason="no_text")


def _pages(numbers: list[int]) -> str:
    return f"{_numbers(numbers)} {'is a picture' if len(numbers) == 1 else 'are pictures'}"


def _numbers(numbers: list[int]) -> str:
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return f"{'page' if len(numbers) == 1 else 'pages'} {shown(ranges)}"
