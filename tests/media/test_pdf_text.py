"""The text of pages, as it is read."""

from __future__ import annotations

from pathlib import Path

import pdfs

from narrowboat.media.pdf_text import page_texts


def test_a_word_that_is_parted_at_the_end_of_a_line_is_one(tmp_path: Path) -> None:
    book = pdfs.book(tmp_path / "book.pdf", [["the man-", "agement of locks", "is well-known"], ["2 - 1", "is one"]])
    assert [page.text for page in page_texts(book, "book.pdf", [1, 2])] == [
        "the management of locks\nis well-known",
        "2 - 1\nis one",
    ]
