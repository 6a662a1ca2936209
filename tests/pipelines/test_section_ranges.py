"""What a range of pages may be written as, and what is said of one that is none."""

from __future__ import annotations

import pytest

from narrowboat.errors import SourceError
from narrowboat.pipelines.extract.ranges import Places, folded, page_count, read_ranges, shown

LABELS = ["i", "ii", "iii", "1", "2", "3", "4", "A-1", "A-2", "2"]
PLACES = Places(10, LABELS, {folded("Locks, and Keys"): (2, 4), folded("Index"): (10, 10)})


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("3", [[3, 3]]),
        ("2-4", [[2, 4]]),
        (" 2 – 4 ", [[2, 4]]),
        ("1-3,7", [[1, 3], [7, 7]]),
        ("7, 1-3,", [[7, 7], [1, 3]]),
        ("8-end", [[8, 10]]),
        ("end", [[10, 10]]),
        ("ii", [[2, 2]]),
        ("i-iii", [[1, 3]]),
        ("label:1", [[4, 4]]),
        ("label:1-3", [[4, 6]]),
        ("A-1", [[8, 8]]),
        ("A-1-A-2", [[8, 9]]),
        ("A-1–2", [[8, 10]]),
        ("iii, 5", [[3, 3], [5, 5]]),
        ("locks,  AND keys", [[2, 4]]),
        ("Index, 1", [[10, 10], [1, 1]]),
    ],
)
def test_ranges(text: str, ranges: list[list[int]]) -> None:
    assert read_ranges(text, PLACES) == ranges


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "pages are counted from 1"),
        ("9-3", "it goes backwards, from 9 to 3"),
        ("iii-i", "it goes backwards, from 3 to 1"),
        ("5-11", "the document has 10 pages"),
        ("99999999999999999999", "the document has 10 pages"),
        (",", "it is empty"),
        ("v", "there is no such page label or title"),
        ("1,two", "'two': there is no such page label or title"),
        ("-3", "there is no such page label or title"),
        ("1-2-3", "there is no such page label or title"),
        ("1.5", "there is no such page label or title"),
    ],
)
def test_what_is_no_range_is_named(text: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_ranges(text, PLACES)
    assert str(caught.value).startswith(f"{text!r} is no range of pages: {said} (")
    assert caught.value.facts["reason"] == "range"


def test_without_labels_and_titles_only_numbers_are_known() -> None:
    with pytest.raises(SourceError, match="it is no number of a page"):
        read_ranges("iv", Places(5))


def test_as_they_are_shown() -> None:
    assert shown([[1, 3], [7, 7]]) == "1-3,7"
    assert page_count([[1, 3], [2, 4], [7, 7]]) == 5
