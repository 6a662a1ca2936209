"""Options that change how an output looks and not the result: what is written anew, with nothing computed anew."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.errors import EngineError

LETTERS = Step(steps.letters, memory="20M")
WRITE = Step(steps.write_letters, memory="20M")


async def workflow(job: Job) -> None:
    if not await job.finished(LETTERS):
        at = {"path": await job.fetch(), "mark": job.options["mark"]}
        async with contextlib.aclosing(job.stream(LETTERS, {}, at=at)) as letters:
            async for _ in letters:
                pass
    at = {"items": await job.export(LETTERS)}
    await job.write(WRITE, {}, at=at, formats=("lower",))
    if job.options["tail"] == "bad":
        raise EngineError("no such tail")
    if await job.wants(("upper",)):
        await job.write(WRITE, {"tail": job.options["tail"]}, at=at)


def shape(options: dict[str, Any], format: str) -> Any:
    return options["tail"] if format == "upper" else None


PIPELINE = Pipeline(
    "tails", workflow, formats=("upper", "lower"), identity=lambda _: None, shape=shape, endings={"upper": "up.txt"}
)


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "mark"
        self.text = folder / "in" / "text.txt"
        self.text.parent.mkdir()
        self.text.write_text("abC")

    def run(self, *tails: str, formats: tuple[str, ...] = ("upper", "lower"), wait: bool = True) -> list[Any]:
        async def main() -> list[Any]:
            async with Runner(beside("512M"), home=self.folder / "home") as runner:
                for tail in tails:
                    options = {"mark": str(self.mark), "tail": tail}
                    await runner.submit(PIPELINE, str(self.text), options, out=self.folder / "out", formats=formats)
                if wait:
                    await runner.wait()
                return runner.entries

        return asyncio.run(main())

    def retry(self, job_id: str) -> None:
        async def main() -> None:
            async with Runner(beside("512M"), home=self.folder / "home") as runner:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("narrowboat.runner.intake.find_pipeline", lambda _: PIPELINE)
                    await runner.retry(job_id)
                await runner.wait()

        asyncio.run(main())

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted((self.folder / "out").iterdir())}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_shows_the_option_is_written_anew_and_nothing_computed(place: Place) -> None:
    place.run("!")
    assert place.files() == {"text.lower": "abc", "text.up.txt": "ABC!"}
    (place.folder / "out" / "text.lower").write_text("read and changed by somebody")
    (entry,) = place.run("?")
    assert (entry.state, entry.again) == ("done", False)
    assert place.files() == {"text.lower": "read and changed by somebody", "text.up.txt": "ABC?"}
    assert place.mark.read_text() == "abC"


def test_the_same_option_again_does_nothing(place: Place) -> None:
    place.run("!")
    (entry,) = place.run("!")
    assert entry.again


def test_a_job_that_was_stopped_goes_on_with_the_options_that_it_is_asked_for_with_now(place: Place) -> None:
    place.run("!", wait=False)
    place.run("?")
    assert place.files()["text.up.txt"] == "ABC?"


def test_asked_for_in_two_shapes_at_once_the_last_one_stays(place: Place) -> None:
    place.run("!", "?")
    assert place.files() == {"text.lower": "abc", "text.up.txt": "ABC?"}
    assert place.mark.read_text() == "abC"


def test_the_plain_outputs_are_there_when_the_others_can_not_be_had(place: Place) -> None:
    (entry,) = place.run("bad")
    assert (entry.state, str(entry.error)) == ("failed", "no such tail")
    assert place.files() == {"text.lower": "abc"}
    place.run("!")
    assert place.files() == {"text.lower": "abc", "text.up.txt": "ABC!"}
    assert place.mark.read_text() == "abC"


def test_an_output_that_was_to_be_written_anew_and_was_not_is_with_a_retry(place: Place) -> None:
    place.run("!")
    (entry,) = place.run("bad")
    assert place.files()["text.up.txt"] == "ABC!"
    (place.folder / "out" / "text.lower").unlink()
    place.retry(entry.id)
    assert place.files() == {"text.up.txt": "ABC!"}  # it fails again, and what was deleted stays so


def test_a_format_with_another_ending_keeps_its_number(place: Place) -> None:
    (place.folder / "out").mkdir()
    (place.folder / "out" / "text.up.txt").write_text("mine")
    for tail in ("!", "?"):
        place.run(tail, formats=("upper",))
    assert place.files() == {"text-2.up.txt": "ABC?", "text.up.txt": "mine"}
