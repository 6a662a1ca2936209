"""Makes the PDF that ``sections.py`` cuts: noisy pictures, a shared font and logo, outlines and cross links.

    python bench/sections_pdf.py book.pdf --pages 400 --mib 180 --kind destinations

Covers: writing a document of any size object by object, in the memory of one page, the same bytes each time.
Does not cover: measuring (``sections.py``).

The kinds differ in what keeps pages together that a section does not want:

- ``plain``: nothing does;
- ``outlines``: an outline and links by names, which the document's catalogue leads to pages;
- ``destinations``: an outline and ten links a page that hold the pages themselves;
- ``resources``: one dictionary of resources, with every picture of the document, for all pages.
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

KINDS = ("plain", "outlines", "destinations", "resources")
LINKS, _LINK = 10, 110  # of a page; bytes that one takes at least
CHAPTERS = 40  # entries of the outline
_FONT_BYTES, _LOGO_SIDE = 60_000, 160
_NAMES = "zero one two three four five six seven eight nine"
_TERMS = (
    "canal lock water gate boat tiller rope bridge tunnel towpath wharf cargo coal flour summit basin keeper toll "
    "horse engine mooring windlass paddle culvert aqueduct reservoir ledger lantern winter harbour"
)
_DIGITS, _WORDS = _NAMES.split(), _TERMS.split()


class Writer:
    """Writes numbered objects, and in the end the table of where they are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at: dict[int, int] = {}
        self._next = 1
        file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def number(self) -> int:
        """A number for an object that is written later."""
        self._next += 1
        return self._next - 1

    def put(self, body: str, number: int | None = None, stream: bytes | None = None) -> int:
        """Write an object; ``body`` is a dictionary when there is a stream. Its number."""
        number = number or self.number()
        self._at[number] = self._file.tell()
        self._file.write(f"{number} 0 obj\n".encode())
        if stream is None:
            self._file.write(body.encode())
        else:
            self._file.write(body.replace(">>", f"/Length {len(stream)} >>", 1).encode() + b"\nstream\n")
            self._file.write(stream + b"\nendstream")
        self._file.write(b"\nendobj\n")
        return number

    def end(self, root: int) -> None:
        """Write the table and the trailer."""
        start, size = self._file.tell(), max(self._at) + 1
        self._file.write(f"xref\n0 {size}\n0000000000 65535 f \n".encode())
        for number in range(1, size):
            self._file.write(f"{self._at[number]:010} 00000 n \n".encode())
        self._file.write(f"trailer\n<< /Size {size} /Root {root} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())


@dataclass(frozen=True)
class Made:
    """A document that was written.

    Attributes:
        chapters: first and last page (from 1) of each.
        own: bytes of what each page has for itself, all together.
        shared: bytes of what every page needs.
    """

    chapters: list[tuple[int, int]]
    own: int
    shared: int

    def ideal(self, sections: int) -> int:
        """Bytes that so many sections need, which have each page once."""
        return self.own + sections * self.shared


def make(path: Path, pages: int, size: int, kind: str, seed: int = 1) -> Made:
    """Write a document of about ``size`` bytes."""
    chance = random.Random(seed)
    side = max(8, int((size / pages - 2000) ** 0.5)) if size else 8
    with path.open("wb") as file:
        writer = Writer(file)
        root, tree, outline = writer.number(), writer.number(), writer.number()
        numbers = [writer.number() for _ in range(pages)]
        start = file.tell()
        font = _font(writer, chance)
        logo = _picture(writer, chance, _LOGO_SIDE)
        shared_bytes = file.tell() - start
        shared = writer.number() if kind == "resources" else None
        start = file.tell()
        pictures = [_page(writer, chance, n, numbers, tree, font, logo, side, kind, shared) for n in range(pages)]
        own_bytes = file.tell() - start - (_LINK * LINKS * pages if kind in ("outlines", "destinations") else 0)
        if shared is not None:
            images = "".join(f" /P{n} {picture} 0 R" for n, picture in enumerate(pictures))
            writer.put(f"<< /Font << /F {font} 0 R >> /XObject << /Logo {logo} 0 R{images} >> >>", shared)
        kids = " ".join(f"{number} 0 R" for number in numbers)
        writer.put(f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>", tree)
        chapters = _chapters(pages)
        catalogue = f"<< /Type /Catalog /Pages {tree} 0 R"
        if kind in ("outlines", "destinations"):
            _outline(writer, outline, numbers, chapters, named=kind == "outlines")
            catalogue += f" /Outlines {outline} 0 R"
        else:
            writer.put("null", outline)
        if kind == "outlines":
            names = " ".join(f"(page{n:06}) [{number} 0 R /Fit]" for n, number in enumerate(numbers))
            catalogue += f" /Names << /Dests << /Names [{names}] >> >>"
        writer.put(catalogue + " >>", root)
        writer.end(root)
    return Made(chapters, own_bytes, shared_bytes)


def page_text(number: int, seed: int = 1) -> list[str]:
    """The lines of page ``number``, from 1."""
    chance = random.Random(seed * 1_000_003 + number)
    lines = [f"Page mark {number:05} of the book."]
    return lines + [" ".join(chance.choices(_WORDS, k=9)).capitalize() + "." for _ in range(30)]


def _page(
    writer: Writer,
    chance: random.Random,
    n: int,
    numbers: list[int],
    tree: int,
    font: int,
    logo: int,
    side: int,
    kind: str,
    shared: int | None,
) -> int:
    picture = _picture(writer, chance, side)
    lines = "".join(f"({line}) Tj 0 -14 Td\n" for line in page_text(n + 1))
    drawn = f"q 200 0 0 200 350 560 cm /P{n} Do Q q 40 0 0 40 40 760 cm /Logo Do Q\nBT /F 11 Tf 50 700 Td\n{lines}ET\n"
    content = writer.put("<< /Filter /FlateDecode >>", stream=zlib.compress(drawn.encode()))
    own = f"<< /Font << /F {font} 0 R >> /XObject << /P{n} {picture} 0 R /Logo {logo} 0 R >> >>"
    links = _links(writer, chance, numbers, kind) if kind in ("outlines", "destinations") else ()
    resources = f"{shared} 0 R" if shared else own
    annotations = f"/Annots [{' '.join(f'{link} 0 R' for link in links)}]" if links else ""
    writer.put(
        f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Resources {resources}"
        f" /Contents {content} 0 R {annotations} >>",
        numbers[n],
    )
    return picture


def _links(writer: Writer, chance: random.Random, numbers: list[int], kind: str) -> Iterable[int]:
    for place in range(LINKS):
        target = chance.randrange(len(numbers))
        to = f"(page{target:06})" if kind == "outlines" else f"[{numbers[target]} 0 R /Fit]"
        rect = f"[50 {20 + 5 * place} 90 {24 + 5 * place}]"
        yield writer.put(f"<< /Type /Annot /Subtype /Link /Rect {rect} /Border [0 0 0] /Dest {to} >>")


def _picture(writer: Writer, chance: random.Random, side: int) -> int:
    look = f"/Width {side} /Height {side} /ColorSpace /DeviceGray /BitsPerComponent 8"
    return writer.put(f"<< /Type /XObject /Subtype /Image {look} >>", stream=chance.randbytes(side * side))


def _font(writer: Writer, chance: random.Random) -> int:
    """A font of boxes, all drawn by one long procedure: its text can be read, and it is as large as real ones are."""
    drawn = b"500 0 d0 60 0 380 600 re f\n% " + chance.randbytes(_FONT_BYTES // 2).hex().encode()
    box = writer.put("<< >>", stream=drawn)
    names = {32: "space", 46: "period", **dict(zip(range(48, 58), _DIGITS, strict=True))}
    names |= {code: chr(code) for code in (*range(65, 91), *range(97, 123))}
    codes = " ".join(f"{code} /{name}" for code, name in names.items())
    drawings = " ".join(f"/{name} {box} 0 R" for name in names.values())
    return writer.put(
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 500 700] /FontMatrix [0.001 0 0 0.001 0 0] /Resources << >>"
        f" /CharProcs << {drawings} >> /Encoding << /Type /Encoding /Differences [{codes}] >>"
        f" /FirstChar 32 /LastChar 126 /Widths [{' '.join(['500'] * 95)}] >>"
    )


def _chapters(pages: int) -> list[tuple[int, int]]:
    count = min(CHAPTERS, pages)
    bounds = [round(pages * n / count) for n in range(count + 1)]
    return [(begin + 1, end) for begin, end in pairwise(bounds)]


def _outline(writer: Writer, number: int, numbers: list[int], chapters: list[tuple[int, int]], *, named: bool) -> None:
    entries = [writer.number() for _ in chapters]
    for place, (first, _) in enumerate(chapters):
        to = f"(page{first - 1:06})" if named else f"[{numbers[first - 1]} 0 R /Fit]"
        around = f"/Prev {entries[place - 1]} 0 R" if place else ""
        around += f" /Next {entries[place + 1]} 0 R" if place + 1 < len(entries) else ""
        writer.put(f"<< /Title (Chapter {place + 1}) /Parent {number} 0 R /Dest {to} {around} >>", entries[place])
    writer.put(f"<< /Type /Outlines /First {entries[0]} 0 R /Last {entries[-1]} 0 R /Count {len(entries)} >>", number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--mib", type=float, default=180)
    parser.add_argument("--kind", choices=KINDS, default="destinations")
    asked = parser.parse_args()
    make(asked.path, asked.pages, int(asked.mib * (1 << 20)), asked.kind)
