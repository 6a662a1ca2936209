"""Opening PDFs: what they are, and every way in which they can be none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pdfs
import pikepdf
import pytest

from narrowboat.errors import SourceError, UsageError
from narrowboat.media.pdf_survey import count_objects, survey


def surveyed(path: Path, **more: Any) -> dict[str, Any]:
    return survey({"path": str(path), "name": path.name, **more})


def counted(path: Path) -> int:
    return int(count_objects({"path": str(path), "name": path.name})["objects"])


def test_facts(tmp_path: Path) -> None:
    facts = surveyed(pdfs.book(tmp_path / "a.pdf", [["One."], ["Two."]], title="Locks\n and  keys"))
    assert facts == {
        "pages": 2,
        "title": "Locks and keys",
        "producer": None,
        "encrypted": False,
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"", "empty", "is empty"),
        (b"I am no PDF\n" * 100, "not_pdf", "is no PDF"),
        (b"%PDF-1.7\n", "damaged", "damaged"),
        (b"%PDF-1.7\n" + b"\0" * 5000, "damaged", "damaged"),
    ],
)
def test_what_is_no_pdf(tmp_path: Path, content: bytes, reason: str, said: str) -> None:
    path = tmp_path / "b.pdf"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        surveyed(path)
    assert caught.value.facts["reason"] == reason
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("kids", "count", "reason"),
    [
        (b"", 0, "no_pages"),
        (b"100 0 R 2 0 R", 2, "damaged"),  # a tree that is a ring
    ],
)
def test_trees_without_pages_and_rings(tmp_path: Path, kids: bytes, count: int, reason: str) -> None:
    tree = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    with pytest.raises(SourceError) as caught:
        surveyed(pdfs.book(tmp_path / "c.pdf", [["One."]], objects={2: tree}))
    assert caught.value.facts["reason"] == reason


def test_a_tree_deeper_than_any_stack(tmp_path: Path) -> None:
    deep = {30_000 + n: b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % (30_001 + n) for n in range(20_000)}
    deep[50_000] = b"<< /Type /Pages /Count 1 /Kids [100 0 R] >>"
    deep[2] = b"<< /Type /Pages /Count 1 /Kids [30000 0 R] >>"
    with pytest.raises(SourceError, match="damaged"):
        surveyed(pdfs.book(tmp_path / "d.pdf", [["One."]], objects=deep))


def test_a_count_that_lies_is_not_believed(tmp_path: Path) -> None:
    tree = b"<< /Type /Pages /Kids [100 0 R] /Count 1000000000 /MediaBox [0 0 9 9] >>"
    assert surveyed(pdfs.book(tmp_path / "e.pdf", [["One."]], objects={2: tree}))["pages"] == 1


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    with pikepdf.open(pdfs.book(tmp_path / "open.pdf", [["One."]])) as document:
        document.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption(owner="boss", user="sesame"))
        document.save(tmp_path / "owned.pdf", encryption=pikepdf.Encryption(owner="boss", user=""))
    return tmp_path / "locked.pdf"


def test_passwords(locked: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="needs a password") as caught:
        surveyed(locked)
    assert "--password-file" in str(caught.value)
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame\nand nothing else\n")
    assert surveyed(locked, password_file=str(secret))["encrypted"]
    secret.write_text("open\n")
    with pytest.raises(SourceError, match="not the one") as caught:
        surveyed(locked, password_file=str(secret))
    assert "open\n" not in str(caught.value.to_json())
    assert surveyed(locked.with_name("owned.pdf"))["encrypted"]
    with pytest.raises(UsageError, match="password file"):
        surveyed(locked, password_file=str(tmp_path / "none"))


def test_a_file_that_was_cut_says_so(tmp_path: Path) -> None:
    path = pdfs.book(tmp_path / "f.pdf", [[f"Page {n}."] for n in range(30)])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"startxref")])
    facts = surveyed(path)
    assert facts["pages"] == 30
    assert facts["warnings"][0] == "it is cut short: its end is missing"
    assert len(facts["warnings"]) > 1
    assert str(tmp_path) not in str(facts["warnings"])


def test_objects_are_counted_without_reading_them(tmp_path: Path) -> None:
    path = pdfs.book(tmp_path / "g.pdf", [["One."]])
    assert counted(path) == 10_101
    with pikepdf.open(path) as document:
        document.save(tmp_path / "new.pdf", object_stream_mode=pikepdf.ObjectStreamMode.generate)
        document.save(tmp_path / "linear.pdf", linearize=True)
    for name in ("new.pdf", "linear.pdf"):
        assert 4 <= counted(tmp_path / name) <= 12
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"xref", 0, whole.rfind(b"startxref"))])
    assert counted(path) == 5
    path.write_bytes(b"%PDF-1.7\ntrailer\n<< /Size 4000000000 >>\nstartxref\n9\n%%EOF\n")
    assert counted(path) < 100
