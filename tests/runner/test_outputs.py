"""Which outputs a job writes, where, and how often it computes for them; with a small pipeline of our own."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Job, Pipeline, Runner, Step

LETTERS = Step(steps.letters, memory="20M")
WRITE = Step(steps.write_letters, memory="20M")


async def workflow(job: Job) -> None:
    if not await job.finished(LETTERS):
        at = {"path": await job.fetch(), "mark": job.options["mark"]}
        async with contextlib.aclosing(job.stream(LETTERS, {}, at=at)) as letters:
            async for _ in letters:
                pass
    await job.write(WRITE, {}, at={"items": await job.export(LETTERS)})


PIPELINE = Pipeline("letters", workflow, formats=("upper", "lower"), identity=lambda _: None)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "text.txt"
    path.parent.mkdir()
    path.write_text("abC")
    return path


class Place:
    """Runs the pipeline as one command after another would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "mark"

    def run(self, *sources: Path, out: str = "out", formats: tuple[str, ...] = ("upper",), **more: Any) -> list[Any]:
        async def main() -> list[Any]:
            async with Runner(beside("512M"), home=self.folder / "home") as runner:
                for source in sources:
                    options = {"mark": str(self.mark)}
                    await runner.submit(PIPELINE, str(source), options, out=self.folder / out, formats=formats, **more)
                await runner.wait()
                return runner.entries

        return asyncio.run(main())

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("out*/**/*") if path.is_file())

    @property
    def computed(self) -> str:
        return self.mark.read_text() if self.mark.exists() else ""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_outputs_are_named_after_the_source(place: Place, text: Path) -> None:
    (entry,) = place.run(text, formats=("upper", "lower"))
    assert (entry.state, place.files()) == ("done", ["out/text.lower", "out/text.upper"])
    assert (place.folder / "out/text.upper").read_text() == "ABC"


def test_the_same_again_does_nothing(place: Place, text: Path) -> None:
    place.run(text)
    (entry,) = place.run(text)
    assert (entry.again, place.computed) == (True, "abC")


def test_another_format_is_written_from_the_journal(place: Place, text: Path) -> None:
    place.run(text)
    (entry,) = place.run(text, formats=("lower",))
    assert (entry.again, place.files(), place.computed) == (False, ["out/text.lower", "out/text.upper"], "abC")


def test_a_missing_output_is_written_from_the_journal(place: Place, text: Path) -> None:
    place.run(text)
    (place.folder / "out/text.upper").unlink()
    place.run(text)
    assert (place.files(), place.computed) == (["out/text.upper"], "abC")


def test_what_was_deleted_elsewhere_stays_deleted(place: Place, text: Path) -> None:
    place.run(text)
    (place.folder / "out/text.upper").unlink()
    place.run(text, out="out2")
    assert place.files() == ["out2/text.upper"]


def test_again_computes_again_under_the_same_name(place: Place, text: Path) -> None:
    place.run(text)
    place.run(text, again=True)
    assert (place.files(), place.computed) == (["out/text.upper"], "abCabC")


def test_another_content_of_the_same_name_gets_a_number_and_keeps_it(place: Place, text: Path) -> None:
    other = place.folder / "other" / "text.txt"
    other.parent.mkdir()
    other.write_text("xyz")
    for _ in range(2):
        place.run(text, other, formats=("upper", "lower"))
    assert place.files() == ["out/text-2.lower", "out/text-2.upper", "out/text.lower", "out/text.upper"]
    assert (place.folder / "out/text-2.upper").read_text() == "XYZ"
    assert sorted(place.computed) == sorted("abCxyz")


def test_somebody_elses_file_is_left_alone(place: Place, text: Path) -> None:
    (place.folder / "out").mkdir()
    (place.folder / "out/text.upper").write_text("mine")
    place.run(text)
    assert (place.folder / "out/text.upper").read_text() == "mine"
    assert (place.folder / "out/text-2.upper").read_text() == "ABC"


def test_the_same_content_from_two_places_is_one_job_with_both_outputs(place: Place, text: Path) -> None:
    copy = text.with_name("copy.txt")
    copy.write_text("abC")
    entries = place.run(text, copy)
    assert len(entries) == 1
    assert (place.files(), place.computed) == (["out/copy.upper", "out/text.upper"], "abC")


def test_a_moved_source_is_not_computed_again(place: Place, text: Path) -> None:
    place.run(text)
    moved = text.rename(text.with_name("moved.txt"))
    place.run(moved)
    assert (place.files(), place.computed) == (["out/moved.upper", "out/text.upper"], "abC")


def test_a_changed_source_is_another_job(place: Place, text: Path) -> None:
    place.run(text)
    text.write_text("new")
    place.run(text)
    assert (place.computed, place.files()) == ("abCnew", ["out/text-2.upper", "out/text.upper"])
