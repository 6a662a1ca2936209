"""Makes small PDFs by hand, whole ones and broken ones, so that no library has a say in them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

Objects = dict[int, bytes]
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
MIB = 1 << 20


def write(path: Path, objects: Objects, *, trailer: bytes = b"") -> Path:
    """Objects by number; 1 is the catalogue."""
    file, at = io.BytesIO(), {}
    file.write(b"%PDF-1.7\n")
    for number, body in objects.items():
        at[number] = file.tell()
        file.write(b"%d 0 obj\n" % number + body + b"\nendobj\n")
    start, size = file.tell(), max(objects) + 1
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    for number in range(1, size):
        file.write(b"%010d 00000 n \n" % at[number] if number in at else b"0000000000 00000 f \n")
    file.write(b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start))
    path.write_bytes(file.getvalue())
    return path


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n" % (len(data), more) + data + b"\nendstream"


def text(*lines: str | tuple[str, int]) -> bytes:
    """A page's content: lines, each with the size of its type when it is not 11."""
    drawn = b"BT 50 800 Td "
    for line in lines:
        said, size = (line, 11) if isinstance(line, str) else line
        escaped = said.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        drawn += b"/F %d Tf 0 -%d Td (%s) Tj " % (size, size + 5, escaped.encode("latin-1"))
    return stream(drawn + b"ET")


def book(
    path: Path,
    pages: Sequence[Sequence[str | tuple[str, int]]],
    *,
    outline: Sequence[tuple[int, str, int]] = (),
    more: bytes = b"",
    of_page: Mapping[int, bytes] | None = None,
    objects: Objects | None = None,
    title: str = "",
) -> Path:
    """A document. Page n (from 0) is object 100 + n, its content 10,100 + n.

    Args:
        outline: level (from 1), title and page (from 0) of each entry.
        more: of the catalogue.
        of_page: more of the dictionary of a page.
        objects: more of them; those of 20 to 99 are free.
    """
    kids = b" ".join(b"%d 0 R" % (100 + n) for n in range(len(pages)))
    made: Objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R %s %s >>" % (b"/Outlines 5 0 R" if outline else b"", more),
        2: b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >> >>"
        % (kids, len(pages)),
        3: FONT,
    }
    for n, lines in enumerate(pages):
        own = (of_page or {}).get(n, b"")
        made[100 + n] = b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R %s >>" % (10_100 + n, own)
        made[10_100 + n] = text(*lines)
    if outline:
        made |= _outline(outline)
    info = b""
    if title:
        made[4] = b"<< /Title (%s) >>" % title.encode("latin-1")
        info = b"/Info 4 0 R"
    return write(path, made | (objects or {}), trailer=info)


def _outline(entries: Sequence[tuple[int, str, int]]) -> Objects:
    """Objects from 20,000 on; 5 is the root."""
    made: Objects = {}
    numbers = [20_000 + n for n in range(len(entries))]
    links: dict[int, list[int]] = {}  # parent -> children
    path = [5]
    for number, (level, _, _) in zip(numbers, entries, strict=True):
        path = path[:level]
        links.setdefault(path[-1], []).append(number)
        path.append(number)
    for parent, children in links.items():
        for place, child in enumerate(children):
            _, said, page = entries[child - 20_000]
            around = b"/Parent %d 0 R" % parent
            around += b" /Next %d 0 R" % children[place + 1] if place + 1 < len(children) else b""
            inner = links.get(child)
            around += b" /First %d 0 R /Last %d 0 R /Count %d" % (inner[0], inner[-1], len(inner)) if inner else b""
            made[child] = b"<< /Title (%s) /Dest [%d 0 R /Fit] %s >>" % (said.encode("latin-1"), 100 + page, around)
    made[5] = b"<< /Type /Outlines /First %d 0 R /Last %d 0 R >>" % (links[5][0], links[5][-1])
    return made


def chapters(path: Path, count: int, pages_each: int = 2) -> Path:
    """A book whose chapter n speaks of the lock number n, with an outline; its title is the file's name."""
    pages = [
        [f"Lock number {n + 1} was built in {1800 + n}.", f"Part {p + 1} of it tells of the keeper of lock {n + 1}."]
        for n in range(count)
        for p in range(pages_each)
    ]
    return book(path, pages, outline=[(1, f"Lesson {n + 1}", n * pages_each) for n in range(count)], title=path.stem)


def packed_twice(size: int) -> bytes:
    """So many spaces, deflated twice: 10 GB are 16 KB."""
    inner, outer, made = zlib.compressobj(9), zlib.compressobj(9), []
    block = b" " * MIB
    for _ in range(size // MIB):
        made.append(outer.compress(inner.compress(block)))
    return b"".join([*made, outer.compress(inner.flush()), outer.flush()])


def bomb(path: Path, where: str, size: int = 200 * MIB) -> Path:
    """Two pages, of which the first has a bomb as its content or in a form that it shows."""
    packed = stream(packed_twice(size), b"/Filter [/FlateDecode /FlateDecode]")
    form = packed.replace(b"<< ", b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] ", 1)
    if where == "content":
        return book(path, [["x"], ["The second page is well."]], objects={10_100: packed})
    own = b"/Resources << /Font << /F 3 0 R >> /XObject << /X 20 0 R >> >>"
    shown = stream(b"BT /F 11 Tf 50 700 Td (x) Tj ET /X Do")
    return book(path, [["x"], ["The second page is well."]], of_page={0: own}, objects={20: form, 10_100: shown})


def nested(path: Path, count: int, *, deep: bool) -> Path:
    """An outline of ``count`` entries, each inside the one before, or behind it."""
    made: Objects = {}
    for n in range(count):
        last = n + 1 == count
        way = b"/First %d 0 R /Last %d 0 R" if deep else b"/Next %d 0 R"
        after = b"" if last else way % ((20_001 + n,) * (2 if deep else 1))
        made[20_000 + n] = b"<< /Title (Level %d) /Dest [100 0 R /Fit] %s >>" % (n, after)
    made[5] = b"<< /Type /Outlines /First 20000 0 R >>"
    return book(path, [["One."]], more=b"/Outlines 5 0 R", objects=made)


def scan(path: Path, pages: int = 2) -> Path:
    """Pages that are pictures, and one with text at the end."""
    picture = stream(bytes(range(256)) * 16, b"/Type /XObject /Subtype /Image /Width 64 /Height 64"
                     b" /ColorSpace /DeviceGray /BitsPerComponent 8")  # fmt: skip
    own = b"/Resources << /XObject << /P 20 0 R >> >>"
    shown = {10_100 + n: stream(b"q 500 0 0 700 40 40 cm /P Do Q") for n in range(pages)}
    lines = [*([["x"]] * pages), ["This page has a text of its own."]]
    return book(path, lines, of_page=dict.fromkeys(range(pages), own), objects={20: picture, **shown})
