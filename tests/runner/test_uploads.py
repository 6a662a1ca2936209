"""Uploads: taken in by pieces, kept as long as a job needs them, gone afterwards, after a crash too."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside, with_tests

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.errors import DiskFull, FetchError, NarrowboatError, OutputError, SourceError, TooLarge
from narrowboat.runner import intake
from narrowboat.runner.upkeep import clean
from narrowboat.sources.uploads import Upload
from narrowboat.values import Caps

SIZE = Step(steps.file_size, memory="20M")
RAISES = Step(steps.raises_if, memory="20M")
REFUSES = Step(steps.refuses, memory="20M")


async def _workflow(job: Job) -> None:
    path = await job.fetch()
    if job.options.get("refuse"):
        raise SourceError("it is no speech")
    await job.run(RAISES, {"raise": job.options.get("raise", False)})
    assert (await job.run(SIZE, {}, at={"path": path})) > 0


PIPELINE = Pipeline("sizes", _workflow, identity=lambda options: options.get("mark"))


async def pieces(*given: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece
    if then is not None:
        raise then


class Place:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"

    def run(self, body: bytes = b"hello", name: str = "talk.mp3", **options: Any) -> tuple[str, str]:
        """Upload and submit; the job's id and how it ended."""

        async def main() -> tuple[str, str]:
            async with Runner(beside("512M"), home=self.home) as runner:
                source = await runner.receive(pieces(body), name)
                assert Path(source).read_bytes() == body
                job_id = await runner.submit(PIPELINE, source, options)
                await runner.wait()
                return job_id, runner.entries[0].state

        return asyncio.run(main())

    def retry(self, job_id: str) -> tuple[str, str]:
        async def main() -> tuple[str, str]:
            async with Runner(beside("512M"), home=self.home) as runner:
                await runner.retry(job_id)
                await runner.wait()
                row = await runner.journal.job(job_id)
                return row.state, (row.reason or {}).get("message", "")

        return asyncio.run(main())

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.home / "scratch").rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(intake, "find_pipeline", lambda _: PIPELINE)
    return Place(tmp_path)


# -- one body -----------------------------------------------------------------------------------------------------


def receive(home: Path, body: AsyncIterator[bytes], name: str = "a.mp3", caps: Caps | None = None, **given: Any) -> str:
    async def main() -> str:
        async with Runner(beside("512M"), home=home, caps=caps) as runner:
            source = await runner.receive(body, name, **given)
            assert not runner.status().jobs
            return source

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "limits", "kind", "said"),
    [
        ((), {}, SourceError, "the upload is empty"),
        ((b"", b""), {}, SourceError, "the upload is empty"),
        ((b"12345", b"67"), {"max_bytes": 6}, TooLarge, "the upload sent 7 B, more than the 6 B allowed"),
        ((b"1",), {"declared": 7, "max_bytes": 6}, TooLarge, "the upload is 7 B, more than the 6 B allowed"),
        ((b"1234567",), {"caps": Caps(file_bytes=6)}, TooLarge, "more than the 6 B allowed"),
        ((b"1", b"23"), {"declared": 2}, SourceError, "sent more than the 2 bytes it declared"),
        ((b"1",), {"declared": 2}, FetchError, "was cut after 1 of 2 bytes"),
        ((b"1",), {"declared": 1 << 60}, DiskFull, "the upload needs 1048576 TiB in"),
    ],
)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path, given: tuple[bytes, ...], limits: dict[str, Any], kind: type[NarrowboatError], said: str
) -> None:
    home = tmp_path / "home"
    with pytest.raises(kind, match=said):
        receive(home, pieces(*given), **limits)
    assert not (home / "scratch").exists()


def test_who_breaks_off_leaves_nothing(place: Place) -> None:
    async def main() -> None:
        async with Runner(beside("512M"), home=place.home) as runner:
            with pytest.raises(ConnectionResetError):
                await runner.receive(pieces(b"1" * 100_000, then=ConnectionResetError()), "a.mp3")
            assert place.kept() == []
            arrived = asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                yield b"2" * 100_000
                arrived.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(runner.receive(slow(), "b.mp3", declared=200_000))
            await arrived.wait()
            (status,) = runner.status().jobs
            assert (status.source, status.stage, status.fraction) == ("b.mp3", "receive", 0.5)
            assert place.kept() == ["b.mp3"]
            task.cancel()
            await asyncio.wait([task])
            assert place.kept() == []
            assert runner.status().jobs == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("talk.mp3", "talk.mp3"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc/cron.d/x.mp3", "_etc_cron.d_x.mp3"),
        ("a\0b\n.mp3", "a_b_.mp3"),
        (".hidden.mp3", "hidden.mp3"),
        ("x" * 300 + ".mp3", "x" * 120 + ".mp3"),
        ("", "source"),
        ("..", "source"),
    ],
)
def test_a_name_leads_nowhere_else(place: Place, name: str, kept: str) -> None:
    async def main() -> Path:
        async with Runner(beside("512M"), home=place.home) as runner:
            return Path(await runner.receive(pieces(b"1"), name))

    path = asyncio.run(main())
    assert path.name == kept
    assert path.parent.parent == place.home / "scratch" / "uploads"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    upload = Upload(tmp_path / "one", "a.mp3", shown="the upload")
    upload.add(b"1")
    assert upload.finish().stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_is_full(disk_of: Callable[[str], Path]) -> None:
    folder = disk_of("1M") / "one"
    upload = Upload(folder, "a.mp3", shown="the upload")
    with pytest.raises(DiskFull, match="no space left to write what the upload sends"):
        while True:
            upload.add(b"1" * 100_000)
    upload.close()


def test_a_folder_that_can_t_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        Upload(tmp_path / "file" / "one", "a.mp3", shown="the upload")


# -- how long it is kept --------------------------------------------------------------------------------------------


def test_it_goes_when_its_job_is_done(place: Place) -> None:
    job_id, state = place.run()
    assert (state, place.kept()) == ("done", [])
    assert place.run(name="other.mp3") == (job_id, "done")  # the same content: the same job, and nothing is kept
    assert place.kept() == []
    assert not (place.home / "scratch").exists()


def test_it_is_kept_for_a_retry_of_what_failed(place: Place) -> None:
    job_id, state = place.run(**{"raise": True})
    assert (state, place.kept()) == ("failed", ["talk.mp3"])
    assert place.retry(job_id)[0] == "failed"
    assert place.kept() == ["talk.mp3"]
    assert place.run(name="again.mp3", **{"raise": True})[0] == job_id  # sent again: the newer one is kept
    assert place.kept() == ["again.mp3"]
    assert place.run(name="well.mp3")[1] == "done"
    assert place.kept() == []


def test_clean_forgets_it_with_its_job(place: Place) -> None:
    place.run(**{"raise": True})
    cleaned = asyncio.run(clean(place.home, older_s=None, dry=True))
    assert (len(cleaned.jobs), place.kept()) == (1, ["talk.mp3"])
    asyncio.run(clean(place.home, older_s=None))
    assert place.kept() == []


def test_it_is_not_kept_when_it_is_at_fault_itself(place: Place) -> None:
    job_id, state = place.run(refuse=True)
    assert (state, place.kept()) == ("failed", [])
    assert place.retry(job_id) == ("failed", f"talk.mp3 was sent to job {job_id} and is not kept any more")


def test_it_goes_when_its_job_is_cancelled(place: Place) -> None:
    async def main() -> None:
        async with Runner(beside("512M"), home=place.home) as runner:
            await runner.drain(0)  # nothing starts
            source = await runner.receive(pieces(b"1"), "a.mp3")
            job_id = await runner.submit(PIPELINE, source)
            assert place.kept() == ["a.mp3"]
            await runner.cancel(job_id)
            assert place.kept() == []

    asyncio.run(main())


def test_two_jobs_of_one_upload(place: Place) -> None:
    """It goes with the last of them."""

    async def main() -> None:
        async with Runner(beside("512M"), home=place.home) as runner:
            await runner.drain(0)
            source = await runner.receive(pieces(b"1"), "a.mp3")
            first = await runner.submit(PIPELINE, source, {"mark": 1})
            second = await runner.submit(PIPELINE, source, {"mark": 2})
            await runner.cancel(first)
            assert place.kept() == ["a.mp3"]
            await runner.cancel(second)
            assert place.kept() == []

    asyncio.run(main())


def test_the_same_content_while_its_job_waits(place: Place) -> None:
    async def main() -> str:
        async with Runner(beside("512M"), home=place.home) as runner:
            await runner.drain(0)
            ids = {await runner.submit(PIPELINE, await runner.receive(pieces(b"1"), name)) for name in ("a", "b")}
            assert place.kept() == ["a"]
            return ids.pop()

    job_id = asyncio.run(main())
    assert place.kept() == ["a"]  # the run has ended, the job waits
    assert place.retry(job_id) == ("done", "")
    assert place.kept() == []


KILLED = """
import asyncio, os, signal, sys
from test_uploads import PIPELINE, pieces
from narrowboat import Runner

async def main():
    async with Runner("512M", home=sys.argv[1]) as runner:
        await runner.drain(0)
        async def endless():
            yield b"half" * 1000
            await runner.submit(PIPELINE, await runner.receive(pieces(b"whole"), "whole.mp3"))
            os.kill(os.getpid(), signal.SIGKILL)
        await runner.receive(endless(), "half.mp3")

asyncio.run(main())
"""


def test_after_a_kill_what_came_whole_is_there_and_the_half_goes(place: Place) -> None:
    path = os.pathsep.join([with_tests(), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(place.home)], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode == -9
    assert place.kept() == ["half.mp3", "whole.mp3"]
    assert place.retry("j0001") == ("done", "")
    assert place.kept() == []
