"""Answers about documents from their own text: ``answer=extract``.

Covers: PDF files (pypdfium2) and text with page marks; the answer names pages, first lines and a hash of the file, so
that a test can tell that the right pages were sent. Does not cover: understanding anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fakes.questions import Question
from fakes.refusals import Refusal
from fakes.schemas import kind, resolved, sample
from fakes.store import Stored

#: A mark before the text of a page: ``[page 3]``, ``--- Page 3 ---``, ``## page iv``.
MARK = re.compile(r"^\W*page\s+(?P<page>[\w.-]+)\W*$", re.IGNORECASE | re.MULTILINE)
#: What a property holds, by its name.
TEXTS = ("answer", "text", "result", "summary", "content")


@dataclass(slots=True)
class Page:
    label: str
    line: str  # the first one that says something


def pages_of(question: Question) -> list[Page]:
    """The pages that came with a question, in order: those of its PDF files, and those that are marked in its text."""
    pages = [page for file in question.files for page in _of_file(file)]
    for text in question.texts:
        marks = list(MARK.finditer(text))
        ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
        pages += [
            Page(mark["page"], _first_line(text[mark.end() : end])) for mark, end in zip(marks, ends, strict=True)
        ]
    return pages


def _of_file(file: Stored) -> list[Page]:
    if "pdf" not in file.mime or file.path is None:
        return []
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(file.path)
    except pypdfium2.PdfiumError as error:
        raise Refusal(400, f"The document can't be read: {error}.") from None
    with document:
        pages = []
        for number in range(len(document)):
            page = document[number]
            pages.append(Page(str(number + 1), _first_line(page.get_textpage().get_text_range())))
            page.close()
    return pages


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def answer_text(question: Question) -> tuple[str, dict[str, Any]]:
    """The answer, and what the log shows of it."""
    pages = pages_of(question)
    about = {"pages": len(pages), "first_lines": [page.line for page in pages[:50]]}
    hashes = [file.sha256 for file in question.files]
    first, last = (pages[0].line, pages[-1].line) if pages else ("", "")
    told = f"{len(pages)} pages, from {first!r} to {last!r}; {' '.join(hashes)}".rstrip("; ")
    if question.schema is None:
        return (json.dumps({"answer": told}) if question.wants_json else told), about
    return json.dumps(_filled(question.schema, question.schema, told, pages), ensure_ascii=False), about


def _filled(schema: dict[str, Any], root: dict[str, Any], told: str, pages: list[Page]) -> Any:
    schema = resolved(schema, root)
    if kind(schema) == "string" and not schema.get("enum"):
        return told
    if kind(schema) != "object":
        return sample(schema, root)
    value: dict[str, Any] = {}
    for name, one in schema.get("properties", {}).items():
        inner = resolved(one, root)
        if kind(inner) == "array" and kind(resolved(inner.get("items", {}), root)) == "object":
            value[name] = [_quote(resolved(inner["items"], root), root, page) for page in pages[:3]]
        else:
            value[name] = told if name.lower() in TEXTS else sample(inner, root)
    return value


def _quote(schema: dict[str, Any], root: dict[str, Any], page: Page) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, one in schema.get("properties", {}).items():
        inner = resolved(one, root)
        if "page" in name.lower():
            value[name] = int(page.label) if kind(inner) == "integer" and page.label.isdecimal() else page.label
        else:
            value[name] = page.line if kind(inner) == "string" else sample(inner, root)
    return value
