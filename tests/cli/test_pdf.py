"""outline, split and extract as commands: what is written, what is said of bad input, what is not done again."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pdfs
import pikepdf
import pypdfium2
import pytest
from command_harness import Cli

MIB = 1 << 20


def attempts(cli: Cli, job: str = "j1") -> dict[str, int]:
    shown = cli.run("show", job, "--json").json
    steps = [attempt["step"].partition("/")[0] for attempt in shown["attempts_made"]]
    return {step: steps.count(step) for step in steps}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return pdfs.chapters(tmp_path / "book.pdf", 4)


def test_outline_split_and_extract_fit_together(cli: Cli, book: Path) -> None:
    done = cli.run("outline", book)
    assert done.code == 0
    assert "book.pdf: 8 pages, 4 sections by outline" in done.out
    outline = cli.out / "book.outline.json"
    assert read(outline)["sections"][1] == {"name": "Lesson 2", "pages": "3-4"}

    assert cli.run("split", book, "--sections", outline).code == 0
    listed = read(cli.out / "book.sections.json")["sections"]
    assert [section["file"] for section in listed] == [f"book.sections/00{n}-lesson-{n}.pdf" for n in range(1, 5)]
    document = pypdfium2.PdfDocument(cli.out / listed[1]["file"])
    assert "Lock number 2 was built in 1801." in document[0].get_textpage().get_text_bounded()
    document.close()

    done = cli.run(
        "extract", book, "--sections", outline, "--prompt", "When was the lock built?", "--formats", "json,md,csv"
    )
    assert done.code == 0
    answers = read(cli.out / "book.answers.json")
    assert [section["status"] for section in answers["sections"]] == ["answered"] * 4
    assert answers["sections"][2]["quotes"][0] == {"page": 5, "text": "Lock number 3 was built in 1802."}
    assert "> Lock number 3 was built in 1802. (page 5)" in (cli.out / "book.answers.md").read_text()
    with (cli.out / "book.answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"Lesson {n}" for n in range(1, 5)]
    assert not (cli.home / "scratch").exists()


def test_what_is_done_is_not_done_again(cli: Cli, book: Path, tmp_path: Path) -> None:
    sections = tmp_path / "s.json"
    sections.write_text('[{"name": "a", "pages": "1-2"}, {"name": "b", "pages": "3-4"}]')
    asked = ("extract", book, "--sections", sections, "--prompt", "When was the lock built?")
    assert cli.run(*asked).code == 0
    first = (cli.out / "book.answers.json").read_bytes()
    assert "already done" in cli.run(*asked).out
    assert attempts(cli)["ask"] == 2
    assert cli.run(*asked, "--formats", "md").code == 0
    assert attempts(cli)["ask"] == 2
    sections.write_text('[{"pages": "5", "name": "c"}, {"name": "a", "pages": "1-2"}, {"name": "b", "pages": "3-4"}]')
    assert cli.run(*asked).code == 0
    assert attempts(cli)["ask"] == 3
    assert [section["name"] for section in read(cli.out / "book.answers.json")["sections"]] == ["c", "a", "b"]
    assert first != (cli.out / "book.answers.json").read_bytes()
    assert cli.run("extract", book, "--sections", sections, "--prompt", "Who keeps it?").code == 0
    assert (cli.out / "book-2.answers.json").exists()


def test_a_bad_range_fails_its_section_and_no_other(cli: Cli, book: Path, tmp_path: Path) -> None:
    sections = tmp_path / "s.json"
    ranges = ["1-2", "9-3", "3-4", "7-80", "0", "nowhere"]
    sections.write_text(json.dumps([{"name": f"part {n}", "pages": pages} for n, pages in enumerate(ranges)]))
    done = cli.run("extract", book, "--sections", sections, "--prompt", "When was the lock built?")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "4 of 6 sections failed: 'part 1' ('9-3' is no range of pages: it goes backwards, from 9 to 3)" in line
    assert str(cli.out / "book.answers.json") in line
    answers = read(cli.out / "book.answers.json")
    assert [section["status"] == "failed" for section in answers["sections"]] == [False, True, False, True, True, True]
    assert answers["failed"] == 4
    assert attempts(cli)["ask"] == 2

    assert cli.run("retry", "j1").code == 1
    sections.write_text(sections.read_text().replace("9-3", "5-6").replace("7-80", "7-8").replace('"0"', '"1"'))
    sections.write_text(sections.read_text().replace("nowhere", "Lesson 2"))
    done = cli.run("extract", book, "--sections", sections, "--prompt", "When was the lock built?")
    assert done.code == 0
    assert attempts(cli)["ask"] == 6
    assert read(cli.out / "book.answers.json")["failed"] == 0

    split = cli.run("split", book, "--sections", sections.with_name("t.json"))
    assert (split.code, "can't be read" in split.err) == (2, True)
    sections.write_text('[{"name": "good/one", "pages": "1"}, {"name": "bad", "pages": "99"}]')
    split = cli.run("split", book, "--sections", sections)
    assert split.code == 1
    assert [path.name for path in (cli.out / "book.sections").iterdir()] == ["001-good-one.pdf"]


def test_when_nothing_fits_it_says_so(cli: Cli, book: Path) -> None:
    assert cli.run("extract", book, "--prompt", "submarine", "--formats", "json,md").code == 0
    answers = read(cli.out / "book.answers.json")
    assert {section["status"] for section in answers["sections"]} == {"nothing_found"}
    assert "Nothing in this section answers that." in (cli.out / "book.answers.md").read_text()


def test_scanned_pages_are_named(cli: Cli, tmp_path: Path) -> None:
    source = pdfs.scan(tmp_path / "scan.pdf")
    done = cli.run("extract", source, "--sections", "pages:2", "--prompt", "text of its own")
    assert done.code == 1
    assert "pages 1-2 are pictures without text: scanned" in done.err
    answers = read(cli.out / "scan.answers.json")
    assert "ocrmypdf" in answers["sections"][0]["error"]["hint"]
    assert answers["sections"][1]["quotes"] == [{"page": 3, "text": "This page has a text of its own."}]
    cli.run("extract", source, "--sections", "pages:3", "--prompt", "text of its own")
    assert read(cli.out / "scan.answers.json")["sections"][0]["note"] == "pages 1-2 are pictures without text: scanned"


@pytest.mark.parametrize("where", ["content", "form"])
def test_a_bomb_costs_its_page(cli: Cli, tmp_path: Path, where: str) -> None:
    source = pdfs.bomb(tmp_path / "bomb.pdf", where)
    report = tmp_path / "report.json"
    done = cli.run(
        "extract", source, "--sections", "pages:2", "--prompt", "the second", "--memory", "300M", "--report", report
    )
    assert done.code == 0, done.err
    (section,) = read(cli.out / "bomb.answers.json")["sections"]
    assert section["quotes"] == [{"page": 2, "text": "The second page is well."}]
    assert "page 1 can't be read: it holds compressed data that unfolds to more than 32.0 MiB" in section["note"]
    (job,) = read(report)["jobs"]
    assert job["overruns"] == 0
    assert job["peak_used_bytes"] < 100 * MIB


def test_passwords_come_from_a_file_and_stay_there(cli: Cli, book: Path, tmp_path: Path) -> None:
    locked, secret = tmp_path / "locked.pdf", tmp_path / "secret.txt"
    with pikepdf.open(book) as document:
        document.save(locked, encryption=pikepdf.Encryption(owner="boss", user="sesame-1234"))
    asked = ("extract", locked, "--sections", "pages:4", "--prompt", "When was the lock built?")
    done = cli.run(*asked)
    assert (done.code, "needs a password" in done.err) == (1, True)
    secret.write_text("sesame-1234\n")
    done = cli.run(*asked, "--password-file", secret)
    assert done.code == 0, done.err
    assert read(cli.out / "locked.answers.json")["encrypted"]
    kept = b"".join(path.read_bytes() for path in cli.home.rglob("*") if path.is_file())
    assert b"sesame-1234" not in kept + done.out.encode() + done.err.encode()


def test_a_file_that_was_cut_is_used_with_a_warning(cli: Cli, book: Path) -> None:
    whole = book.read_bytes()
    book.write_bytes(whole[: whole.rfind(b"startxref")])
    done = cli.run("outline", book)
    assert done.code == 0
    assert "note: it is cut short: its end is missing" in done.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("extract", "a.pdf"), "--prompt or --prompt-file"),
        (("extract", "a.pdf", "--prompt", "x", "--prompt-file", "y"), "--prompt or --prompt-file"),
        (("extract", "a.pdf", "--prompt", "x", "--model", "gpt"), "there is no language model 'gpt'"),
        (("extract", "a.pdf", "--prompt", "x", "--schema", "gone.json"), "can't be read"),
        (("extract", "a.pdf", "--prompt", "x", "--sections", "chapters"), "no file and no way to find sections"),
        (("extract", "a.pdf", "--prompt", "x", "--sections", "pages:0"), "pages:0 takes no pages"),
        (("extract", "a.pdf", "--prompt", "x", "--formats", "docx"), "docx"),
        (("split", "a.pdf", "--sections", "gone.json"), "can't be read"),
    ],
)
def test_bad_options_are_told_before_anything_starts(cli: Cli, args: tuple[str, ...], said: str) -> None:
    done = cli.run(*args)
    assert done.code == 2
    assert said in done.err
    assert not cli.home.exists()


def test_a_bad_section_file_is_wrong_usage(cli: Cli, book: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('[{"name": "x"}]')
    done = cli.run("split", book, "--sections", tmp_path / "s.json")
    assert done.code == 2
    assert 'section 1 has no "pages"' in done.err
    assert cli.jobs() == {}


def test_files_of_somebody_else_are_not_touched(cli: Cli, book: Path) -> None:
    (cli.out / "book.sections").mkdir(parents=True)
    (cli.out / "book.sections" / "mine.txt").write_text("mine")
    done = cli.run("split", book)
    assert done.code == 1
    assert "has files that are not of this kind (mine.txt)" in done.err
    assert (cli.out / "book.sections" / "mine.txt").read_text() == "mine"


def test_a_small_model_on_this_machine_answers_and_is_called_one(cli: Cli, tmp_path: Path) -> None:
    pulled = cli.run("models", "pull", "gguf:smollm2")
    if pulled.code != 0:
        pytest.skip(f"the pack can't be had: {pulled.err.strip()}")
    book = pdfs.chapters(tmp_path / "book.pdf", 1)
    asked = ("--prompt", "When was the lock built?", "--model", "gguf:smollm2", "--max-tokens", 40)
    done = cli.run("extract", book, *asked, "--formats", "json,md")
    assert done.code == 0, done.err
    (section,) = read(cli.out / "book.answers.json")["sections"]
    assert section["made_by"] == {"model": "gguf:smollm2", "kind": "small local model"}
    assert section["answer"] and section["usage"]["output_tokens"] > 0
    assert "(small local model)" in (cli.out / "book.answers.md").read_text()


def test_two_files_of_the_same_content_have_their_outputs_each(cli: Cli, book: Path) -> None:
    copy = Path(shutil.copy(book, book.with_name("copy.pdf")))
    done = cli.run("split", book, copy)
    assert (done.code, len(cli.jobs())) == (0, 1), done.err
    assert "copy.pdf has the same content as" in done.err
    first, second = (read(cli.out / f"{name}.sections.json")["sections"] for name in ("book", "copy"))
    assert [one["file"].partition("/")[2] for one in first] == [one["file"].partition("/")[2] for one in second]
    assert all((cli.out / one["file"]).is_file() for one in [*first, *second])
