"""Cutting sections out of PDFs: what goes with them and what does not, read back with other people's readers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pdfs
import pikepdf
import pypdfium2
import pytest

from narrowboat.errors import SourceError
from narrowboat.media.pdf_cut import cut

NOISE = random.Random(1).randbytes(60_000)


def sections(path: Path, folder: Path, *ranges: list[list[int]], **more: Any) -> list[Path]:
    asked = [{"file": f"{n}.pdf", "ranges": each} for n, each in enumerate(ranges)]
    given = {"path": str(path), "name": path.name, "folder": str(folder), "sections": asked, **more}
    files = cut(given)["files"]
    assert [file["error"] for file in files] == [None] * len(ranges)
    return [Path(file["path"]) for file in files]


def texts(path: Path) -> list[str]:
    document = pypdfium2.PdfDocument(path)
    try:
        return [page.get_textpage().get_text_bounded().strip() for page in document]
    finally:
        document.close()


def problems(path: Path) -> list[str]:
    with pikepdf.open(path) as document:
        return document.check_pdf_syntax()


def picture(n: int) -> bytes:
    look = b"/Type /XObject /Subtype /Image /Width 200 /Height 300 /ColorSpace /DeviceGray /BitsPerComponent 8"
    return pdfs.stream(NOISE[n:] + NOISE[:n], look)


KINDS = ("plain", "links", "names", "shared")


def illustrated(path: Path, kind: str) -> Path:
    """Six pages with a picture of 60 KB each, held together in one of the ways that documents are."""
    own = {n: b"/Resources << /Font << /F 3 0 R >> /XObject << /P%d %d 0 R >> >>" % (n, 20 + n) for n in range(6)}
    more, outline = b"", [(1, f"Part {n}", n) for n in range(6)]
    if kind == "plain":
        outline = []
    elif kind == "links":
        every = b" ".join(b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /Dest [%d 0 R /Fit] >>" % (100 + n)
                          for n in range(6))  # fmt: skip
        own = {n: b"%s /Annots [%s] /B [30 0 R] /AA << /O << /S /GoTo /D [105 0 R /Fit] >> >>" % (body, every)
               for n, body in own.items()}  # fmt: skip
    elif kind == "names":
        more = b"/Names << /Dests << /Names [%s] >> >> /OpenAction [103 0 R /Fit] /StructTreeRoot 30 0 R" % b" ".join(
            b"(p%d) [%d 0 R /Fit]" % (n, 100 + n) for n in range(6)
        )
    else:
        every = b" ".join(b"/P%d %d 0 R" % (n, 20 + n) for n in range(6))
        own = dict.fromkeys(range(6), b"/Resources 31 0 R")
        more = b"/Shared << /Font << /F 3 0 R >> /XObject << %s >> >>" % every
    objects = {20 + n: picture(n) for n in range(6)}
    objects[30] = b"<< /P 104 0 R /N 30 0 R /K [100 0 R 101 0 R 102 0 R 103 0 R 104 0 R 105 0 R] >>"
    objects[31] = b"<< /Font << /F 3 0 R >> /XObject << %s >> >>" % b" ".join(
        b"/P%d %d 0 R" % (n, 20 + n) for n in range(6)
    )
    shown = b"BT /F 11 Tf 50 700 Td (This is page %d.) Tj ET q 99 0 0 99 0 0 cm /P%d Do Q"
    objects |= {10_100 + n: pdfs.stream(shown % (n + 1, n)) for n in range(6)}
    return pdfs.book(path, [["x"]] * 6, outline=outline, more=more, of_page=own, objects=objects, title="Kept")


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_has_its_pages_and_nothing_of_the_others(tmp_path: Path, kind: str) -> None:
    source = illustrated(tmp_path / "a.pdf", kind)
    made = sections(source, tmp_path / "out", [[1, 2]], [[3, 3]], [[2, 4]], [[6, 6], [1, 1]])
    assert [texts(path) for path in made] == [
        [f"This is page {n}." for n in numbers] for numbers in ([1, 2], [3], [2, 3, 4], [6, 1])
    ]
    for path, pictures in zip(made, (2, 1, 3, 2), strict=True):
        assert len(NOISE) * pictures < path.stat().st_size < 1.05 * len(NOISE) * pictures
        assert problems(path) == []


def test_pictures_stay_as_they_are(tmp_path: Path) -> None:
    (made,) = sections(illustrated(tmp_path / "a.pdf", "shared"), tmp_path / "out", [[4, 4]])
    with pikepdf.open(made) as document:
        found = document.pages[0].resources.XObject["/P3"]
        assert found.read_bytes() == NOISE[3:] + NOISE[:3]
        assert str(document.docinfo.Title) == "Kept"


def test_the_same_again_gives_the_same_bytes(tmp_path: Path) -> None:
    source = illustrated(tmp_path / "a.pdf", "links")
    (one,) = sections(source, tmp_path / "one", [[2, 3]])
    _, other = sections(source, tmp_path / "other", [[1, 3]], [[2, 3]])
    assert one.read_bytes() == other.read_bytes()


def test_what_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    source = illustrated(tmp_path / "a.pdf", "plain")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.pdf").write_bytes(b"whole before")
    made, _ = sections(source, tmp_path / "out", [[1, 1]], [[2, 2]])
    assert made.read_bytes() == b"whole before"
    assert not list((tmp_path / "out").glob(".*"))


def test_notes_and_web_links_stay_and_jumps_go(tmp_path: Path) -> None:
    link = b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /%s >> >>"
    web = link % b"URI /URI (https://example.org/)"
    field = b"<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /FT /Tx /Parent 30 0 R /P 101 0 R >>"
    note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (a note) /Popup 31 0 R /P 100 0 R >>"
    annotations = b"/Annots [%s %s %s %s]" % (web, link % b"GoTo /D [101 0 R /Fit]", field, note)
    far = {30: b"<< /Kids [101 0 R] /T (name) /V (kept?) >>", 31: b"<< /Type /Annot /Subtype /Popup /Parent 101 0 R >>"}
    source = pdfs.book(tmp_path / "a.pdf", [["One."], ["Two."]], of_page={0: annotations}, objects=far)
    (made,) = sections(source, tmp_path / "out", [[1, 1]])
    with pikepdf.open(made) as document:
        kept = [str(each.Subtype) for each in document.pages[0].Annots]
        (field,) = document.Root.AcroForm.Fields
        assert [str(field[key]) for key in ("/T", "/V", "/FT")] == ["name", "kept?", "/Tx"]
        assert kept == ["/Link", "/Widget", "/Text"]
        assert str(document.pages[0].Annots[0].A.URI) == "https://example.org/"
        assert b"Two." not in made.read_bytes()


def test_what_pages_have_from_their_parents_comes_along(tmp_path: Path) -> None:
    tree = {
        2: b"<< /Type /Pages /Kids [20 0 R] /Count 2 /MediaBox [0 0 300 300] /Resources << /Font << /F 3 0 R >> >> >>",
        20: b"<< /Type /Pages /Parent 2 0 R /Kids [100 0 R 101 0 R] /Count 2 /Rotate 90 /CropBox [9 9 99 99] >>",
        100: b"<< /Type /Page /Parent 20 0 R /Contents 10100 0 R >>",
        101: b"<< /Type /Page /Parent 20 0 R /Contents 10101 0 R /Rotate 180 >>",
    }
    source = pdfs.book(tmp_path / "a.pdf", [["One."], ["Two."]], objects=tree)
    (made,) = sections(source, tmp_path / "out", [[1, 2]])
    assert texts(made) == texts(source)
    with pikepdf.open(made) as document:
        assert [int(page.Rotate) for page in document.pages] == [90, 180]
        assert [[int(side) for side in page.CropBox] for page in document.pages] == [[9, 9, 99, 99]] * 2


def test_what_was_encrypted_is_not_any_more(tmp_path: Path) -> None:
    with pikepdf.open(pdfs.book(tmp_path / "a.pdf", [["One."], ["Two."]])) as document:
        document.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption(owner="boss", user="sesame"))
    (tmp_path / "secret").write_text("sesame")
    (made,) = sections(tmp_path / "locked.pdf", tmp_path / "out", [[2, 2]], password_file=str(tmp_path / "secret"))
    assert texts(made) == ["Two."]


@pytest.mark.parametrize("where", ["content", "form"])
def test_a_bomb_is_passed_on_unopened(tmp_path: Path, where: str) -> None:
    one, other = sections(pdfs.bomb(tmp_path / "a.pdf", where), tmp_path / "out", [[1, 1]], [[2, 2]])
    assert one.stat().st_size < 20_000
    assert texts(other) == ["The second page is well."]


def test_a_document_that_can_not_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\nno more")
    with pytest.raises(SourceError, match="damaged"):
        sections(tmp_path / "a.pdf", tmp_path / "out", [[1, 1]])
