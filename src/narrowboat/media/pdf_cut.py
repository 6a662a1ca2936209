"""Cutting a PDF into files of some of its pages, each with what those pages need and nothing else.

Covers: the step :func:`cut`. Loads in workers only.
Does not cover: which pages (``pipelines/extract``), what the files are called in the end.

How: one opening for all sections. The document is given a new tree with a section's pages, is written, and gets the
next tree. Nothing is copied in memory: a stream goes from file to file as it is. What would lead from a page to others
is taken off first: keys that a page does not need, annotations that lead elsewhere, resources that its content does not
use. Without that an outline, links or one dictionary of resources take the whole document into each section.

Measured on 180 MB and 400 pages in 40 sections: 14 MiB over what a worker begins with, flat; 4.5 s. See
``pdf_document`` for what the number of objects adds.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from narrowboat import context, disk
from narrowboat.errors import NarrowboatError, StepFailed
from narrowboat.media.pdf_document import explained, opened, pages_of, read_password
from narrowboat.values import Json

#: Keys of a page that are kept: what it looks like. Boxes and resources may come from its parents.
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
_OF_PAGE = {"/Type", "/Contents", "/BleedBox", "/TrimBox", "/ArtBox", "/Group", "/UserUnit", "/Annots", *_INHERITED}
_OF_ROOT = ("/Type", "/Pages", "/Version", "/Extensions", "/Lang", "/OCProperties")
_OF_TRAILER = ("/Root", "/Info", "/ID", "/Size", "/Encrypt")
#: Keys of an annotation that are kept; the others lead to actions, to other pages, or to fields of a form.
_OF_ANNOTATION = """/Type /Subtype /Rect /Contents /NM /M /F /AP /AS /Border /C /CA /ca /BS /BE /QuadPoints /InkList
    /L /LE /IC /Vertices /DA /Q /DS /CL /RD /Name /Sy /T /Subj /CreationDate /RT /IT /H /MK /FT /Ff /OC /Lang"""
_KEPT = frozenset(_OF_ANNOTATION.split())
_DROPPED = ("/Popup", "/Movie", "/Screen", "/Sound", "/RichMedia", "/3D", "/FileAttachment")
_LETTER = (0, 0, 612, 792)  # the page where none is said
_MOST_PARENTS = 100
#: Keys of a field that its parents may have.
_OF_FIELD = ("/FT", "/T", "/V", "/Ff", "/DA", "/Q")
#: Where a section is written before it gets its name: one place for all, so that room is asked for one at a time.
_PART = ".section.part"


def cut(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step. Inputs: ``path``, ``name`` (what messages call it), ``password_file`` (or None), ``folder`` (where the
    files go), ``sections`` (``[{"file", "ranges"}]``: the name of each file, and ``[[first, last], …]`` from 1, in
    order, each page once).

    A file that is there already is left as it is: it was whole when it got its name.

    Returns:
        ``files``: for each section ``path`` and ``bytes``, and ``error`` (JSON) where it could not be cut, else None.

    Raises:
        SourceError: the document can't be opened; see ``pdf_document``.
        DiskFull: there is no room in the folder.
    """
    name, folder = str(inputs["name"]), Path(inputs["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with opened(inputs["path"], name, read_password(inputs.get("password_file"))) as document:
        cutter = Cutter(document, name, Path(inputs["path"]).stat().st_size)
        files = []
        for place, section in enumerate(inputs["sections"]):
            files.append(_one(cutter, section["ranges"], folder / section["file"]))
            context.progress((place + 1) / len(inputs["sections"]), "cut")
    return {"files": files}


def _one(cutter: Cutter, ranges: list[list[int]], path: Path) -> dict[str, Json]:
    try:
        if not path.exists():
            cutter.write(ranges, path)
        return {"path": str(path), "bytes": path.stat().st_size, "error": None}
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.full(path, f"the section {path.name}") from None
        raise
    except NarrowboatError as error:
        if error.code == "disk_full":
            raise
        return {"path": None, "bytes": 0, "error": error.to_json()}


class Cutter:
    """An open document that is written in parts. It can't be used for anything else afterwards."""

    def __init__(self, document: pikepdf.Pdf, name: str, size: int) -> None:
        self._document = document
        self._name = name
        self._size = size
        self._pages = pages_of(document, name)
        self._fields: dict[int, list[pikepdf.Object]] = {}  # by page: those of the pages that were stripped
        with explained(name):
            form = document.Root.get("/AcroForm")
            self._form = (
                {key: form[key] for key in ("/DR", "/DA") if key in form} if isinstance(form, Dictionary) else {}
            )
            _keep(document.Root, _OF_ROOT)
            _keep(document.trailer, _OF_TRAILER)
            _plain_info(document)

    def write(self, ranges: list[list[int]], path: Path) -> None:
        """Write the pages of ``ranges`` to ``path``.

        Raises:
            SourceError: the document is damaged there.
        """
        numbers = list(dict.fromkeys(n - 1 for first, last in ranges for n in range(first, last + 1)))
        part = path.with_name(_PART)
        context.make_room(part, min(self._size, self._size * len(numbers) // len(self._pages) + (1 << 16)), path.name)
        try:
            with explained(self._name):
                self._document.Root.Pages = self._tree(numbers)
                self._document.save(
                    part,
                    deterministic_id=True,  # the same bytes each time
                    stream_decode_level=pikepdf.StreamDecodeLevel.none,  # as they are, in the memory of a buffer
                )
            part.replace(path)
        except (ValueError, TypeError, RuntimeError) as error:  # what pikepdf makes of objects of the wrong kind
            raise StepFailed(f"{self._name} could not be cut to {path.name}: {error}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _tree(self, numbers: list[int]) -> pikepdf.Object:
        for number in numbers:
            if number not in self._fields:
                self._fields[number] = _strip(self._document, self._pages[number])
        fields = [field for number in numbers for field in self._fields[number]]
        if fields:
            self._document.Root.AcroForm = Dictionary({**self._form, "/Fields": Array(fields)})
        elif "/AcroForm" in self._document.Root:
            del self._document.Root["/AcroForm"]
        kids = [self._pages[number] for number in numbers]
        tree = self._document.make_indirect(Dictionary(Type=Name.Pages, Kids=Array(kids), Count=len(kids)))
        for page in kids:
            page.Parent = tree
        return tree


def _strip(document: pikepdf.Pdf, page: pikepdf.Object) -> list[pikepdf.Object]:
    """Take off a page what it does not need; the fields of a form on it."""
    fields: list[pikepdf.Object] = []
    for key in _INHERITED:
        value = _inherited(page, key)
        if value is not None:
            page[key] = value
    if "/MediaBox" not in page:
        page.MediaBox = Array(_LETTER)
    _keep(page, _OF_PAGE)
    if "/Annots" in page:
        kept = [made for each in _listed(page.Annots) if (made := _annotation(document, each)) is not None]
        fields = [each for each in kept if each.Subtype == Name.Widget]
        if kept:
            page.Annots = Array(kept)
        else:
            del page["/Annots"]
    with contextlib.suppress(pikepdf.PdfError, pikepdf.QpdfRuntimeError, pikepdf.DataDecodingError, RuntimeError):
        pikepdf.Page(page).remove_unreferenced_resources()  # what can't be read keeps them all
    return fields


def _inherited(page: pikepdf.Object, key: str) -> pikepdf.Object | None:
    holder: Any = page
    for _ in range(_MOST_PARENTS):
        if not isinstance(holder, Dictionary):
            return None
        if key in holder:
            return holder[key]
        holder = holder.get("/Parent")
    return None


def _listed(value: pikepdf.Object) -> list[pikepdf.Object]:
    return [each for each in value if isinstance(each, Dictionary)] if isinstance(value, Array) else []


def _annotation(document: pikepdf.Pdf, given: pikepdf.Object) -> pikepdf.Object | None:
    """An annotation without what leads away from its page; None for one that does nothing else."""
    kind = str(given.get("/Subtype", ""))
    made = Dictionary({key: given[key] for key in given.keys() if key in _KEPT})  # noqa: SIM118 -- no mapping
    if kind == "/Link":
        action = given.get("/A")
        if not isinstance(action, Dictionary) or action.get("/S") != Name.URI:
            return None
        made.A = Dictionary(S=Name.URI, URI=action.get("/URI", pikepdf.String("")))
    if kind == "/Widget":
        for key in _OF_FIELD:
            value = _inherited(given, key)
            if isinstance(value, (pikepdf.String, Name, int)):  # a signature leads to the whole document
                made[key] = value
    return None if kind in _DROPPED or not kind else document.make_indirect(made)


def _plain_info(document: pikepdf.Pdf) -> None:
    """Title, author and the like stay; what is no text is nobody's."""
    info = document.trailer.get("/Info")
    if isinstance(info, Dictionary):
        for key in list(info.keys()):
            if not isinstance(info[key], (pikepdf.String, Name)):
                del info[key]
    elif info is not None:
        del document.trailer["/Info"]


def _keep(holder: pikepdf.Object, keys: Any) -> None:
    for key in list(holder.keys()):
        if key not in keys:
            del holder[key]
