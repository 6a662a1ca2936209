"""Sections of a document: from its outline, its headings, its page labels, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pdfs
import pytest

from narrowboat.errors import SourceError, UsageError
from narrowboat.pipelines.extract.finding import find
from narrowboat.pipelines.extract.section_files import check, read_schema, read_sections

LINES = ["Water runs downhill, and boats do not.", "So there are locks, and people who keep them."]
PAGES = [LINES] * 10


def found(path: Path, by: str = "auto", **more: Any) -> dict[str, Any]:
    given = {"path": str(path), "name": path.name, "by": by, "level": None, "each": None, "text": None, "asked": "x"}
    return find({**given, **more})


def listed(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(section["name"], section["pages"]) for section in result["sections"]]


BOOK = [(1, "The Book", 0), (2, "One", 1), (3, "One and a half", 2), (2, "Two", 4), (2, "Three", 4), (1, "Index", 9)]


def test_the_first_level_with_several_entries(tmp_path: Path) -> None:
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, outline=BOOK))
    assert result["by"] == "outline"
    assert listed(result) == [("The Book", "1-9"), ("Index", "10")]


def test_a_level_that_is_asked_for(tmp_path: Path) -> None:
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, outline=BOOK), level=2)
    assert listed(result) == [("The Book", "1"), ("One", "2-4"), ("Two", "5"), ("Three", "5-9"), ("Index", "10")]


def test_a_level_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = pdfs.book(tmp_path / "a.pdf", PAGES, outline=BOOK)
    deepest, asked = found(path, level=3), found(path, level=9)
    assert asked["sections"] == deepest["sections"]
    assert deepest["notes"] == []
    assert asked["notes"] == ["level 9 was asked for, and the deepest of its outline is 3: that is taken"]


def test_a_lone_title_is_passed_over(tmp_path: Path) -> None:
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, outline=BOOK[:-1]))
    assert listed(result) == [("The Book", "1"), ("One", "2-4"), ("Two", "5"), ("Three", "5-10")]


def test_a_page_on_which_the_next_begins_further_down_is_shared(tmp_path: Path) -> None:
    half = b"[104 0 R /XYZ 0 400 null]"
    outline = {
        5: b"<< /Type /Outlines /First 20 0 R /Last 21 0 R >>",
        20: b"<< /Title (One) /Dest [100 0 R /Fit] /Next 21 0 R >>",
        21: b"<< /Title <FEFF00DC0062> /A << /S /GoTo /D %s >> >>" % half,
    }
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, more=b"/Outlines 5 0 R", objects=outline))
    assert listed(result) == [("One", "1-5"), ("Üb", "5-10")]


def test_destinations_by_name(tmp_path: Path) -> None:
    objects = {
        5: b"<< /First 20 0 R >>",
        20: b"<< /Title (Old) /Dest /second /Next 21 0 R >>",
        21: b"<< /Title (New) /A << /S /GoTo /D (seventh) >> /Next 22 0 R >>",
        22: b"<< /Title (Nowhere) /Dest (gone) /Next 23 0 R >>",
        23: b"<< /Title (Elsewhere) /A << /S /URI /URI (https://example.org) >> /Next 24 0 R >>",
        24: b"<< /Title (By number) /Dest [8 /Fit] >>",
    }
    more = b"/Outlines 5 0 R /Dests << /second [101 0 R /Fit] >>"
    more += b" /Names << /Dests << /Names [(seventh) << /D [106 0 R /Fit] >>] >> >>"
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, more=more, objects=objects))
    assert listed(result) == [("Old", "2-6"), ("New", "7-8"), ("By number", "9-10")]


@pytest.mark.parametrize("deep", [True, False])
def test_a_hundred_thousand_entries_give_a_bounded_result(tmp_path: Path, deep: bool) -> None:
    result = found(pdfs.nested(tmp_path / "a.pdf", 100_000, deep=deep))
    assert 1 <= len(result["sections"]) <= 2000
    assert result["notes"][0].startswith("its outline has more than")


def test_an_outline_in_a_circle_is_read_once(tmp_path: Path) -> None:
    objects = {
        5: b"<< /First 20 0 R >>",
        20: b"<< /Title (One) /Dest [100 0 R /Fit] /Next 21 0 R /First 20 0 R >>",
        21: b"<< /Title (Two) /Dest [103 0 R /Fit] /Next 20 0 R /First 5 0 R >>",
    }
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, more=b"/Outlines 5 0 R", objects=objects))
    assert listed(result) == [("One", "1-3"), ("Two", "4-10")]


def test_headings_by_their_type(tmp_path: Path) -> None:
    pages: list[list[str | tuple[str, int]]] = [[("The Canal Book", 8), *LINES * 9] for _ in range(6)]
    pages[0].insert(1, ("Of Locks", 20))
    pages[1].insert(14, ("Gates and Sluices", 15))
    pages[3].insert(1, ("Of Boats", 20))
    result = found(pdfs.book(tmp_path / "a.pdf", pages))
    assert result["by"] == "headings"
    assert listed(result) == [("Of Locks", "1-3"), ("Of Boats", "4-6")]
    deeper = found(tmp_path / "a.pdf", "headings", level=2)
    assert listed(deeper) == [("Of Locks", "1-2"), ("Gates and Sluices", "2-3"), ("Of Boats", "4-6")]


def test_page_labels(tmp_path: Path) -> None:
    labels = b"/PageLabels << /Nums [0 << /S /r >> 4 << /S /D >> 8 << /P (A-) /S /D >>] >>"
    path = pdfs.book(tmp_path / "a.pdf", PAGES, more=labels)
    result = found(path)
    assert result["by"] == "labels"
    assert listed(result) == [("Pages i-iv", "1-4"), ("Pages 1-4", "5-8"), ("Pages A-1-A-2", "9-10")]
    text = json.dumps([{"pages": "ii-iii"}, {"name": "Annex", "pages": "A-1-A-2"}])
    assert listed(found(path, "file", text=text)) == [("pages ii-iii", "2-3"), ("Annex", "9-10")]


def test_so_many_pages_each(tmp_path: Path) -> None:
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES), "pages", each=4)
    assert listed(result) == [("Pages 1-4", "1-4"), ("Pages 5-8", "5-8"), ("Pages 9-10", "9-10")]


def test_a_file_may_say_it_as_others_do_and_name_what_is_in_the_outline(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "sections": [
                {"section_name": "A", "page_range": "1-2", "result": None},
                {"name": "A", "pages": "1-2"},
                {"name": "b", "pages": "one and a half"},
                {"pages": 3},
                {"name": "bad", "pages": "9-99"},
            ]
        }
    )
    result = found(pdfs.book(tmp_path / "a.pdf", PAGES, outline=BOOK), "file", text=text)
    assert listed(result) == [("A", "1-2"), ("A", "1-2"), ("b", "3-4"), ("pages 3", "3"), ("bad", "9-99")]
    assert [bool(section["error"]) for section in result["sections"]] == [False] * 4 + [True]
    assert "the document has 10 pages" in result["sections"][4]["error"]["message"]


@pytest.mark.parametrize("by", ["auto", "outline", "headings", "labels"])
def test_nothing_to_find_sections_by(tmp_path: Path, by: str) -> None:
    with pytest.raises(SourceError, match="to find sections by") as caught:
        found(pdfs.book(tmp_path / "a.pdf", PAGES), by)
    assert "pages:10" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "it holds no list of sections"),
        ("[]", "it holds no list of sections"),
        ('["1-3"]', "section 1 is no object"),
        ('[{"pages": "1"}, {"name": "x"}]', 'section 2 has no "pages"'),
        (json.dumps([{"pages": "1"}] * 2001), "2001 sections"),
        ('[{"pages": NaN}]', "is no JSON"),
    ],
)
def test_section_files_that_can_not_be_used(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_sections(text)


@pytest.mark.parametrize("text", ["[]", '{"type": "boat"}', "{", '{"properties": []}'])
def test_schemas_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="schema"):
        read_schema(text)


def test_both_are_checked_at_once() -> None:
    assert check({"sections": '[{"pages": "1"}]', "schema": '{"type": "object"}'}) == {"sections": 1}
