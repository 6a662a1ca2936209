"""extract with remote engines, against the fakes: what is sent and removed, what fails and what is asked again."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pdfs
import pikepdf
import pytest
from command_harness import Cli, Done
from fakes.running import EngineServer

KEY = "key-that-nobody-may-see"
PROMPT = "When was the lock built?"
Ask = Callable[..., Done]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return pdfs.chapters(tmp_path / "book.pdf", 6)


def gemini(server: EngineServer) -> tuple[str, ...]:
    return ("--prompt", PROMPT, "--model", f"gemini:flash@{server.url}")


def run(cli: Cli, *args: object) -> Done:
    return cli.run(*args, GEMINI_API_KEY=KEY, OPENAI_API_KEY=KEY)


def answers(cli: Cli, name: str = "book") -> Any:
    return json.loads((cli.out / f"{name}.answers.json").read_text())


def asked(server: EngineServer, op: str = "generate") -> list[str]:
    """The section of each question."""
    texts = [entry["question"]["texts"][-1] for entry in server.log(op)]
    return [text.partition("'")[2].partition("'")[0] for text in texts]


def test_each_section_is_sent_as_a_file_and_nothing_is_left(cli: Cli, book: Path, engine_server: EngineServer) -> None:
    engine_server.set(answer="extract")
    assert run(cli, "extract", book, *gemini(engine_server)).code == 0
    assert run(cli, "split", book).code == 0
    sent = {
        entry["question"]["texts"][-1].split("'")[1]: entry["question"]["files"][0]["sha256"]
        for entry in engine_server.log("generate")
    }
    cut = sorted((cli.out / "book.sections").iterdir())
    assert [sent[f"Lesson {n}"] for n in range(1, 7)] == [hashlib.sha256(p.read_bytes()).hexdigest() for p in cut]
    found = answers(cli)
    assert [section["name"] for section in found["sections"]] == [f"Lesson {n}" for n in range(1, 7)]
    assert all(f"'Lock number {n} was" in s["answer"] for n, s in enumerate(found["sections"], 1))
    counts = [section["usage"] for section in found["sections"]]
    assert found["usage"] == {name: sum(each[name] for each in counts) for name in ("input_tokens", "output_tokens")}
    assert found["sections"][0]["made_by"]["kind"] == "remote model"
    assert engine_server.files() == []
    question = engine_server.log("generate")[0]["question"]["texts"][-1]
    assert "Focus on the section 'Lesson" in question
    assert "ONLY the requested information" in question
    kept = b"".join(path.read_bytes() for folder in (cli.home, cli.out) for path in folder.rglob("*") if path.is_file())
    assert KEY.encode() not in kept


def test_text_goes_with_page_marks_where_no_pdf_is_read(cli: Cli, book: Path, engine_server: EngineServer) -> None:
    engine_server.set(answer="extract")
    model = f"openai:gpt@{engine_server.openai_url}"
    assert run(cli, "extract", book, "--prompt", PROMPT, "--model", model).code == 0
    texts = {entry["question"]["texts"][0].partition("\n")[0]: entry for entry in engine_server.log("chat")}
    assert sorted(texts) == sorted(f"[page {n}]" for n in range(1, 12, 2))
    assert answers(cli)["sections"][5]["answer"].startswith("2 pages, from 'Lock number 6 was built in 1805.'")


def test_lessons_of_which_some_sections_fail(cli: Cli, tmp_path: Path, engine_server: EngineServer) -> None:
    engine_server.set(
        answer="extract",
        faults=[
            {"kind": "429", "match": "pages 1 of 1.pdf", "wait_s": 0.01},
            {"kind": "503", "match": "pages 2 of 2.pdf", "wait_s": 0.01},
            {"kind": "503", "match": "pages 1 of 3.pdf", "wait_s": 0.01, "times": 2},  # and then it is well
            {"kind": "blocked", "match": "pages 3 of 3.pdf"},
        ],
    )
    lessons = [pdfs.chapters(tmp_path / f"{n}.pdf", 6 if n == 4 else 7, 1) for n in range(1, 5)]
    with pikepdf.open(lessons[0]) as document:
        document.save(tmp_path / "5.pdf", encryption=pikepdf.Encryption(owner="boss", user="sesame"))
    lessons.append(tmp_path / "5.pdf")
    sections, secret = tmp_path / "s.json", tmp_path / "secret"
    sections.write_text(json.dumps([{"name": f"part {n}", "pages": str(n)} for n in range(1, 8)]))
    secret.write_text("wrong")
    args = ("--sections", sections, "--password-file", secret, *gemini(engine_server))

    done = run(cli, "extract", *lessons, *args)
    assert done.code == 1
    assert "1 of 7 sections failed: 'part 7' ('7' is no range of pages: the document has 6 pages)" in done.err
    assert "5.pdf is encrypted, and the password is not the one" in done.err
    found = [(n, section) for n in range(1, 5) for section in answers(cli, str(n))["sections"]]
    failed = [(n, section["name"]) for n, section in found if section["status"] == "failed"]
    assert failed == [(1, "part 1"), (2, "part 2"), (3, "part 3"), (4, "part 7")]
    assert len(found) - len(failed) == 24
    before = len(engine_server.log("generate"))

    engine_server.set(faults=[])
    secret.write_text("sesame")
    assert run(cli, "extract", *lessons, *args).code == 1
    sections.write_text(sections.read_text().replace('"7"', '"6"'))
    assert run(cli, "extract", lessons[3], *args).code == 0
    again = asked(engine_server)[before:]
    assert sorted(again) == sorted([name for _, name in failed] + [f"part {n}" for n in range(1, 8)])
    assert engine_server.files() == []


def test_a_killed_run_asks_nothing_twice(cli: Cli, tmp_path: Path, engine_server: EngineServer) -> None:
    book = pdfs.chapters(tmp_path / "book.pdf", 12, 1)
    engine_server.set(answer="extract", latency_s=0.1)
    args = ("extract", book, *gemini(engine_server))
    cli.environment = lambda **more: {**Cli.environment(cli, **more), "GEMINI_API_KEY": KEY}  # type: ignore[method-assign]
    for most in (2, 6):
        running = cli.start(*args)
        cli.until(lambda most=most: engine_server.state()["paid"]["answered"] >= most, running)  # type: ignore[misc]
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    done = cli.run(*args)
    assert done.code == 0
    assert [section["status"] for section in answers(cli)["sections"]] == ["answered"] * 12
    attempts = cli.run("show", "j1", "--json").json["attempts_made"]
    names = [each["step"] for each in attempts if each["outcome"] == "done" and each["step"].startswith("ask/")]
    assert len(names) == len(set(names)) == 12
    assert engine_server.files() == []
    assert not (cli.home / "scratch").exists()


SCHEMA = {
    "type": "object",
    "properties": {"year": {"type": "integer"}},
    "required": ["year"],
    "additionalProperties": False,
}


def test_an_answer_that_breaks_the_schema_is_asked_for_once_more(
    cli: Cli, book: Path, tmp_path: Path, engine_server: EngineServer
) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    args = ("extract", book, "--sections", "pages:12", "--schema", tmp_path / "schema.json", *gemini(engine_server))
    engine_server.set(answer={"script": [{"year": "1805"}, {"year": 1805}]})
    assert run(cli, *args).code == 0
    (section,) = answers(cli)["sections"]
    assert section["answer"] == {"year": 1805}
    first, second = (entry["question"] for entry in engine_server.log("generate"))
    assert "It does not follow the schema: at year: '1805' is not of type 'integer'" in second["texts"][-1]
    assert first["schema"]["required"] == ["year"]

    engine_server.set(answer={"script": ["no JSON", {"year": None}, {"year": 7}]})
    failing = (*args[:-1], f"gemini:pro@{engine_server.url}")
    done = run(cli, *failing)
    assert done.code == 1
    assert "does not follow the schema, also not the second one" in done.err
    asked_before = len(engine_server.log("generate"))
    assert run(cli, *failing).code == 0  # the second question alone is asked again
    assert len(engine_server.log("generate")) == asked_before + 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [("truncated", "was cut off"), ("empty", "empty answer"), ("safety", "blocked")],
)
def test_what_is_no_answer_is_not_stored_as_one(
    cli: Cli, book: Path, engine_server: EngineServer, fault: str, said: str
) -> None:
    engine_server.set(answer="extract", faults=[{"kind": fault, "match": "'Lesson 2'"}])
    done = run(cli, "extract", book, *gemini(engine_server))
    assert done.code == 1
    assert said in done.err
    statuses = [section["status"] for section in answers(cli)["sections"]]
    assert statuses == ["answered", "failed", *["answered"] * 4]
    assert engine_server.files() == []


def test_a_bad_key_ends_the_job_and_is_said_once(cli: Cli, tmp_path: Path, engine_server: EngineServer) -> None:
    engine_server.set(keys=["another"])
    book = pdfs.chapters(tmp_path / "book.pdf", 100, 1)
    done = run(cli, "extract", book, *gemini(engine_server))
    assert done.code == 1
    assert "sections failed" not in done.err
    assert len(engine_server.log()) < 100
    assert not list(cli.out.iterdir())


def test_no_key_is_told_before_anything_starts(cli: Cli, book: Path) -> None:
    done = cli.run("extract", book, "--prompt", "x", "--model", "gemini:flash", GEMINI_API_KEY="", GOOGLE_API_KEY="")
    assert done.code == 2
    assert "needs a key" in done.err
    assert not cli.home.exists()


def test_a_model_is_asked_which_sections_there_are(cli: Cli, book: Path, engine_server: EngineServer) -> None:
    named = [
        {"name": "One and two", "pages": "1-4"},
        {"name": "Beyond", "pages": "40-50"},
        {"name": "Last", "pages": "12"},
    ]
    engine_server.set(answer={"json": {"sections": named}})
    done = run(cli, "outline", book, "--model", f"gemini:flash@{engine_server.url}")
    assert done.code == 0, done.err
    found = json.loads((cli.out / "book.outline.json").read_text())
    assert found["sections"] == [named[0], named[2]]
    assert "named 'Beyond', left out: " in found["warnings"][0] and found["warnings"][0] in done.out
    (question,) = engine_server.log("generate")
    assert question["question"]["files"][0]["mime"] == "application/pdf"
    assert engine_server.files() == []
    assert run(cli, "outline", book, "--model", f"gemini:flash@{engine_server.url}").code == 0
    assert len(engine_server.log("generate")) == 1

    refused = run(cli, "outline", book, "--model", "extractive")
    assert (refused.code, "gives quotes, and names no sections" in refused.err) == (2, True)
    refused = run(cli, "outline", book, "--model", "gemini:flash", "--by", "headings")
    assert (refused.code, "leave out --by and --level" in refused.err) == (2, True)


def test_scanned_pages_go_as_pictures_where_no_pdf_is_read(
    cli: Cli, tmp_path: Path, engine_server: EngineServer
) -> None:
    source = pdfs.scan(tmp_path / "scan.pdf")
    model = f"openai:gpt@{engine_server.openai_url}"
    asked_for = ("--sections", "pages:3", "--prompt", PROMPT, "--model", model)
    assert run(cli, "extract", source, *asked_for).code == 0
    (section,) = answers(cli, "scan")["sections"]
    assert section["note"] == "pages 1-2 are pictures without text: scanned; asked about as pictures: pages 1-2"
    (entry,) = engine_server.log("chat")
    assert [file["mime"] for file in entry["question"]["files"]] == ["image/jpeg", "image/jpeg"]
    texts = entry["question"]["texts"]
    assert texts[0].startswith("[page 3]")
    assert texts[1:3] == ["[page 1, as it looks]", "[page 2, as it looks]"]
    assert not (cli.home / "scratch").exists()
