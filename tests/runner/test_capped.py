"""Caps at work: never more at the same time than was said, and what is not capped goes on beside it."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.errors import SourceError
from narrowboat.runner.lanes import TRANSCRIPTIONS
from narrowboat.values import Caps

ECHO = Step(steps.echo, memory="20M")


class Gated:
    """A pipeline whose jobs say that they run, and go on when they are told to."""

    def __init__(self, folder: Path, name: str = "gated", lane: str = "") -> None:
        self.folder = folder
        self.running: list[str] = []
        self.seen: list[str] = []
        self.most = 0
        self.fails: set[str] = set()
        self.open = asyncio.Event()
        self.pipeline = Pipeline(name, self._workflow, lane=lane)

    async def _workflow(self, job: Job) -> None:
        await job.run(ECHO, {"job": job.id})  # from here on it waits for no room
        self.running.append(job.name)
        self.seen.append(job.name)
        self.most = max(self.most, len(self.running))
        try:
            if job.name in self.fails:
                raise SourceError("it is no longer wanted")
            await self.open.wait()
        finally:
            self.running.remove(job.name)

    async def submit(self, runner: Runner, *names: str, label: str | None = None) -> list[str]:
        for name in names:
            (self.folder / name).write_text(f"{self.pipeline.name} {name}")
        sources = [str(self.folder / name) for name in names]
        return [await runner.submit(self.pipeline, source, label=label) for source in sources]


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def running(runner: Runner) -> int:
    return runner.status().counts["running"]


@asynchronous
async def test_capped_jobs_run_so_many_at_once_and_others_go_on_beside_them(tmp_path: Path) -> None:
    async with Runner(beside("512M"), cores=2, caps=Caps(transcriptions=1)) as runner:
        capped = Gated(tmp_path, "capped", TRANSCRIPTIONS)
        free = Gated(tmp_path, "free")
        free.open.set()
        ids = await capped.submit(runner, *(f"capped-{number}" for number in range(20)))
        await until(lambda: capped.running == ["capped-0"])
        await runner.wait(await free.submit(runner, "free-0", "free-1", "free-2"))  # they came later, and are done
        assert [entry.state for entry in runner.entries[20:]] == ["done"] * 3
        assert (running(runner), capped.seen) == (1, ["capped-0"])
        capped.open.set()
        await runner.wait(ids)
        assert (capped.most, capped.seen) == (1, [f"capped-{number}" for number in range(20)])


@asynchronous
async def test_map_goes_on_while_capped_jobs_wait(tmp_path: Path) -> None:
    async with Runner(beside("512M"), cores=2, caps=Caps(transcriptions=1)) as runner:
        capped = Gated(tmp_path, "capped", TRANSCRIPTIONS)
        ids = await capped.submit(runner, "a", "b", "c")
        await until(lambda: capped.running == ["a"])
        assert sorted([result.value async for result in runner.map(ECHO, range(5))]) == [0, 1, 2, 3, 4]
        capped.open.set()
        await runner.wait(ids)


@asynchronous
async def test_a_batch_runs_so_many_of_its_jobs_at_once_and_another_batch_as_many(tmp_path: Path) -> None:
    async with Runner(beside("1G"), cores=4, caps=Caps(batch=2)) as runner:
        gated = Gated(tmp_path)
        ids = await gated.submit(runner, "a1", "a2", "a3", "a4", label="a")
        ids += await gated.submit(runner, "b1", "b2", "b3", label="b")
        ids += await gated.submit(runner, "free")
        await until(lambda: len(gated.running) == 5)
        assert sorted(gated.running) == ["a1", "a2", "b1", "b2", "free"]
        gated.open.set()
        await runner.wait(ids)
        assert {entry.state for entry in runner.entries} == {"done"}


@asynchronous
async def test_a_capped_job_that_is_cancelled_or_fails_makes_room_for_the_next(tmp_path: Path) -> None:
    async with Runner(beside("512M"), cores=2, caps=Caps(transcriptions=1)) as runner:
        capped = Gated(tmp_path, "capped", TRANSCRIPTIONS)
        capped.fails.add("c")
        first, second, _, fourth = await capped.submit(runner, "a", "b", "c", "d")
        await until(lambda: capped.running == ["a"])
        await runner.cancel(second)  # one that waits: it never runs
        await runner.cancel(first)
        await until(lambda: capped.running == ["d"])
        capped.open.set()
        await runner.wait([fourth])
        assert [entry.state for entry in runner.entries] == ["cancelled", "cancelled", "failed", "done"]


# -- downloads ------------------------------------------------------------------------------------------------------


class Downloads:
    """A server that answers a GET when it is told to, and counts those it is asked at the same time."""

    def __init__(self) -> None:
        self.now: list[str] = []
        self.most = 0
        self.open = threading.Event()
        downloads = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                downloads.now.append(self.path)
                downloads.most = max(downloads.most, len(downloads.now))
                downloads.open.wait(60)
                downloads.now.remove(self.path)
                self._answer(b"x" * 2000)

            def _answer(self, body: bytes = b"") -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    made = Downloads()
    yield made
    made.close()


async def _fetching(job: Job) -> None:
    await job.fetch()
    await job.run(ECHO, {"job": job.id})


@asynchronous
async def test_downloads_are_so_many_at_once_and_files_go_on_beside_them(tmp_path: Path, downloads: Downloads) -> None:
    fetching = Pipeline("fetching", _fetching)
    async with Runner(beside("512M"), cores=2, caps=Caps(downloads=1)) as runner:
        ids = [await runner.submit(fetching, downloads.url(f"{number}.mp3")) for number in range(8)]
        await until(lambda: bool(downloads.now))
        files = []
        for number in range(3):
            (tmp_path / f"{number}.txt").write_text(str(number))
            files.append(await runner.submit(fetching, str(tmp_path / f"{number}.txt")))
        await runner.wait(files)  # they came later, and are done
        await until(lambda: any("waits for its turn, 1 at once" in job.stage for job in runner.status().jobs))
        assert running(runner) <= 1 + runner.budget.cores  # one downloads, and few wait for their turn
        downloads.open.set()
        await runner.wait(ids)
        assert downloads.most == 1
        assert {entry.state for entry in runner.entries} == {"done"}


@asynchronous
async def test_a_download_that_waits_for_its_turn_can_be_cancelled(downloads: Downloads) -> None:
    fetching = Pipeline("fetching", _fetching)
    async with Runner(beside("512M"), cores=2, caps=Caps(downloads=1)) as runner:
        ids = [await runner.submit(fetching, downloads.url(f"{number}.mp3")) for number in range(3)]
        await until(lambda: any("waits for its turn" in job.stage for job in runner.status().jobs))
        waiting = next(job.id for job in runner.status().jobs if "waits for its turn" in job.stage)
        await runner.cancel(waiting)
        downloads.open.set()
        await runner.wait(ids)
        assert sorted(entry.state for entry in runner.entries) == ["cancelled", "done", "done"]


@asynchronous
async def test_a_download_is_no_larger_than_the_cap_allows(downloads: Downloads) -> None:
    downloads.open.set()
    fetching = Pipeline("fetching", _fetching)
    async with Runner(beside("512M"), cores=2, caps=Caps(file_bytes=999)) as runner:
        large = await runner.submit(fetching, downloads.url("large.mp3"))
        await runner.wait([large])
        error = runner.entries[0].error
        assert error is not None
        assert (error.code, error.facts["limit_bytes"]) == ("too_large", 999)
