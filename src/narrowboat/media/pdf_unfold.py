"""Whether what a page is drawn from unfolds to more than is taken, before another library unfolds it.

Covers: contents, forms, patterns and fonts of a page, however they are nested. Loads in workers only.
Does not cover: pictures, which nobody here decodes; qpdf's own limit (``pdf_document``).

pdfium has no such limit: a page of 10 KB that unfolds to 10 GB took 3 GiB before it was killed.
"""

from __future__ import annotations

from typing import Any

import pikepdf

from narrowboat.media.pdf_document import MOST_UNFOLDED

#: What deflate can make of a byte at most.
_RATIO = 1032
#: Things that are looked at for one page; no page that means well has so many.
_MOST = 20_000
_BROKEN = (pikepdf.PdfError, pikepdf.QpdfRuntimeError, pikepdf.DataDecodingError, ValueError, TypeError, RuntimeError)
#: Keys that lead away from what a page is drawn from.
_AWAY = {"/Parent", "/P", "/StructParents", "/Metadata", "/PieceInfo", "/OC", "/Properties", "/Length"}


class Unfolding:
    """Looks at pages of one document, and at each thing once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}  # a stream that was looked at -> too large
        self._whole: set[tuple[int, int]] = set()  # what was gone through to the end, and found well

    def too_large(self, page: pikepdf.Object) -> bool:
        """True when something that the page is drawn from unfolds to more than ``MOST_UNFOLDED``."""
        waiting: list[Any] = [page.get("/Contents"), page.get("/Resources")]
        parent, looked = page.get("/Parent"), 0
        while waiting[1] is None and isinstance(parent, pikepdf.Dictionary) and looked < 100:
            waiting[1], parent, looked = parent.get("/Resources"), parent.get("/Parent"), looked + 1
        seen: set[tuple[int, int]] = set()
        while waiting:
            thing = waiting.pop()
            if not isinstance(thing, (pikepdf.Dictionary, pikepdf.Array, pikepdf.Stream)):
                continue
            if thing.is_indirect:
                if thing.objgen in seen or thing.objgen in self._whole:
                    continue
                seen.add(thing.objgen)
            looked += 1
            if looked > _MOST or (isinstance(thing, pikepdf.Stream) and self._stream(thing)):
                return True
            waiting += _inside(thing)
        self._whole |= seen
        return False

    def _stream(self, stream: pikepdf.Stream) -> bool:
        if stream.get("/Subtype") == pikepdf.Name.Image:
            return False
        known = self._known.get(stream.objgen)
        if known is None:
            known = self._known[stream.objgen] = _unfolds(stream)
        return known


def _inside(thing: Any) -> list[Any]:
    if isinstance(thing, pikepdf.Array):
        return list(thing)
    holder = thing.stream_dict if isinstance(thing, pikepdf.Stream) else thing
    return [holder[key] for key in holder.keys() if key not in _AWAY]  # noqa: SIM118 -- it is no mapping


def _unfolds(stream: pikepdf.Stream) -> bool:
    filters = stream.get("/Filter")
    names = list(filters) if isinstance(filters, pikepdf.Array) else [] if filters is None else [filters]
    packed = sum(1 for name in names if str(name) in ("/FlateDecode", "/Fl", "/LZWDecode", "/LZW"))
    try:
        length = int(stream.get("/Length", 0))
        if length * _RATIO**packed <= MOST_UNFOLDED:
            return False
        return len(stream.read_bytes()) > MOST_UNFOLDED
    except _BROKEN as error:
        return "memory" in str(error) or "limit" in str(error)
