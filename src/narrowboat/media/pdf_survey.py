"""What a PDF is, before anything is made of it. Loads in workers only.

Covers: the steps :func:`count_objects` (what the memory of all others depends on) and :func:`survey`.
Does not cover: its outline and labels (``pdf_outline``, ``pdf_labels``), its text (``pdf_text``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO

import pikepdf

from narrowboat.errors import SourceError
from narrowboat.media.pdf_document import is_cut, opened, pages_of, read_password, text_of, warnings_of
from narrowboat.values import Json

_END, _BEGIN, _BLOCK = 4096, 65_536, 1 << 20
_SIZE = re.compile(rb"/Size\s+(\d{1,10})")
_START = re.compile(rb"startxref\s+(\d{1,12})")
_OBJECT = re.compile(rb"\d\s+obj\b")
#: Bytes that an object takes at least; in a stream of objects they are packed. A larger count is a lie.
_LEAST = 6


def count_objects(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step: ``bytes`` of the file at ``path``, and how many ``objects`` its table says that it has.

    In constant memory: the table itself is not read. A file without a table is gone through.
    """
    name = str(inputs["name"])
    try:
        with Path(inputs["path"]).open("rb") as file:
            size = file.seek(0, 2)
            found = _said(file, size)
            objects = min(found, size // _LEAST) if found is not None else _counted(file)
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}") from None
    return {"bytes": size, "objects": objects}


def survey(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step: the facts of the PDF at ``path``. ``name`` is what messages call it; ``password_file``, or None.

    Returns:
        ``pages``, ``title`` (or None), ``producer`` (or None), ``encrypted``, ``warnings`` (texts for people: what was
        wrong with the file and could be mended).

    Raises:
        SourceError: see ``pdf_document``.
    """
    name = str(inputs["name"])
    with opened(inputs["path"], name, read_password(inputs.get("password_file"))) as document:
        pages = len(pages_of(document, name))
        cut = ["it is cut short: its end is missing"] if is_cut(inputs["path"]) else []
        return {
            "pages": pages,
            "title": _info(document, "/Title"),
            "producer": _info(document, "/Producer"),
            "encrypted": document.is_encrypted,
            "warnings": [*cut, *warnings_of(document)],
        }


def _said(file: BinaryIO, size: int) -> int | None:
    """What the tables say that the end leads to; a file made for the web has one of a part of it at the end."""
    file.seek(max(0, size - _END))
    end = file.read(_END)
    start = _START.findall(end)
    found = _SIZE.findall(end[: end.rfind(b"startxref")])
    if start and int(start[-1]) < size:
        file.seek(int(start[-1]))
        found += _SIZE.findall(file.read(_BEGIN))
    return max(map(int, found)) if found else None


def _counted(file: BinaryIO) -> int:
    file.seek(0)
    count, tail = 0, b""
    while block := file.read(_BLOCK):
        count += len(_OBJECT.findall(tail + block))
        tail = block[-8:] if not _OBJECT.search(block[-8:]) else b""
    return count


def _info(document: pikepdf.Pdf, key: str) -> str | None:
    info = document.trailer.get("/Info")
    return text_of(info.get(key, "")) or None if isinstance(info, pikepdf.Dictionary) else None
