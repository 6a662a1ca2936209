"""Pages of a PDF as pictures, for engines that look at them and read no PDF. Loads in workers only.

Covers: drawing pages at a size that engines take. Does not cover: which pages (``pipelines/extract/texts``), text
(``pdf_text``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pypdfium2

from narrowboat.media.pdf_text import document_of

#: Pixels of the longer side: print of ten points stays readable, and engines shrink what is larger.
_LONGEST = 1568
_QUALITY = 80  # of JPEG, in percent


def page_pictures(path: str | Path, name: str, numbers: Iterable[int], password: str, start: Path) -> Iterator[Path]:
    """JPEG files of pages, in the order that is asked for: ``START-PAGE.jpg``. What can't be drawn is left out.

    Raises:
        SourceError: the document can't be opened.
    """
    document = document_of(path, name, password)
    try:
        for number in numbers:
            target = start.with_name(f"{start.name}-{number}.jpg")
            if _drawn(document, number, target):
                yield target
    finally:
        document.close()


def _drawn(document: pypdfium2.PdfDocument, number: int, target: Path) -> bool:
    try:
        page = document[number - 1]
    except (pypdfium2.PdfiumError, IndexError):
        return False
    try:
        bitmap = page.render(scale=_LONGEST / max(*page.get_size(), 1.0))
        picture = bitmap.to_pil()
        picture.convert("RGB").save(target, "JPEG", quality=_QUALITY)
    except (pypdfium2.PdfiumError, ValueError):
        return False
    finally:
        page.close()
    return True
