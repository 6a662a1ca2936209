"""Opening a PDF, and saying what is wrong with one.

Covers: limits for what is inside, passwords, damage, the pages as they follow each other. Loads in workers only.
Does not cover: what is done with pages (``pdf_survey``, ``pdf_outline``, ``pdf_cut``), their text (``pdf_text``).

The file is read as a stream, never mapped or read whole. What stays in memory is qpdf's table of objects: 2.1 to 2.7
KiB for each, measured with 30,000 and 130,000 objects once a section had been written, which looks at all of them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pikepdf

from narrowboat.errors import SourceError, UsageError
from narrowboat.sizes import MIB, format_size

#: The most that one compressed stream may unfold to: 10 KB can hold 10 GB.
MOST_UNFOLDED = 32 * MIB
#: Warnings after which a file counts as beyond repair: each is kept in memory.
_MOST_WARNINGS = 2000
_MOST_PASSWORD = 1024  # bytes
_TOLD = 3  # warnings that are told
_HEADER, _END = 1024, 2048  # bytes at the beginning and the end of a file, where its marks are; as readers have it

pikepdf.settings.set_qpdf_limits(flate_max_memory=MOST_UNFOLDED, doc_max_warnings=_MOST_WARNINGS)


@contextlib.contextmanager
def opened(path: str | Path, name: str, password: str = "") -> Iterator[pikepdf.Pdf]:
    """The document at ``path``; ``name`` is what messages call it.

    Raises:
        SourceError: it is empty, no PDF, locked, damaged, or has no pages. Fact ``reason`` is one of ``empty``,
            ``not_pdf``, ``password``, ``damaged``, ``no_pages``.
    """
    try:
        _check_ends(Path(path), name)
        with explained(name), pikepdf.open(path, password=password, access_mode=pikepdf.AccessMode.stream) as document:
            yield document
    except pikepdf.PasswordError:
        raise locked(name, given=bool(password)) from None
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}") from None


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what qpdf raises into an error that says why."""
    try:
        yield
    except pikepdf.PasswordError:
        raise
    except (pikepdf.PdfError, pikepdf.QpdfRuntimeError, pikepdf.DataDecodingError) as error:
        raise damaged(name, str(error)) from None


def _check_ends(path: Path, name: str) -> None:
    with path.open("rb") as file:
        begin = file.read(_HEADER)
    if not begin:
        raise SourceError(f"{name} is empty (0 bytes)", reason="empty")
    if b"%PDF-" not in begin:
        raise SourceError(f"{name} is no PDF: it does not begin as one does", reason="not_pdf")


def is_cut(path: str | Path) -> bool:
    """True when a file does not end as a PDF does."""
    with Path(path).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _END))
        return b"%%EOF" not in file.read()


def pages_of(document: pikepdf.Pdf, name: str) -> list[pikepdf.Object]:
    """The pages in order, as objects of the document.

    Raises:
        SourceError: there are none, or they can't be found.
    """
    with explained(name):
        pages: list[pikepdf.Object] = [page.obj for page in document.pages]
    if not pages:
        raise SourceError(f"{name} has no pages", reason="no_pages")
    return pages


def damaged(name: str, why: str) -> SourceError:
    """That a document can't be used, in qpdf's words without the path."""
    said = plain_warning(why)
    if "no pages found" in said:
        return SourceError(f"{name} has no pages", reason="no_pages")
    return SourceError(f"{name} is damaged: {said}", hint="fetch it again, or print it to a new PDF", reason="damaged")


def unfolds(name: str) -> SourceError:
    """That something in a document unfolds to more than is taken."""
    return SourceError(
        f"{name} holds compressed data that unfolds to more than {format_size(MOST_UNFOLDED)} in one piece",
        hint="that is no ordinary document: print it to a new PDF",
        reason="unfolds",
    )


def warnings_of(document: pikepdf.Pdf) -> list[str]:
    """What was wrong and could be mended: the first few, each once."""
    return list(dict.fromkeys(plain_warning(warning) for warning in map(str, document.get_warnings())))[:_TOLD]


def plain_warning(text: str) -> str:
    """A message of qpdf without the path that it begins with, and on one line."""
    text = " ".join(text.split())
    return re.sub(r"^(WARNING: )?(/.*?\.\w+|/\S+)(: | (?=\())", "", text)[:300]


def read_password(file: str | None) -> str:
    """The password in a file: its first line. Empty without a file.

    Raises:
        UsageError: the file can't be read.
    """
    if file is None:
        return ""
    try:
        with Path(file).open("rb") as opened_file:
            line = opened_file.readline(_MOST_PASSWORD)
    except OSError as error:
        raise UsageError(f"the password file {file} can't be read: {error.strerror or error}") from None
    return line.decode("utf-8", "replace").rstrip("\r\n")


def locked(name: str, *, given: bool) -> SourceError:
    """That a document can't be opened without its password, or with the one that was ``given``."""
    if given:
        return SourceError(f"{name} is encrypted, and the password is not the one", reason="password")
    return SourceError(
        f"{name} is encrypted and needs a password",
        hint="write it into a file and give that with --password-file",
        reason="password",
    )


def text_of(value: Any, most: int = 300) -> str:
    """A string of a document on one line, without what can't be printed."""
    try:
        text = str(value)
    except (ValueError, UnicodeError, pikepdf.PdfError):
        return ""
    kept = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(kept.split())[:most]
