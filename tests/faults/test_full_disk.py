"""Disks that become full while jobs fetch, write and commit: who wanted more fails, nobody else, and nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import told_in_a_box, with_tests

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.runner.entries import Entry
from narrowboat.sizes import MIB

SIZE = Step(steps.file_size, memory="20M")
COUNT = Step(steps.count, memory="20M")


# -- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 MiB: in memory, and on a disk."""
    place, image = tmp_path / "disk", tmp_path / "image"
    place.mkdir()
    if request.param == "tmpfs":
        commands = [["mount", "-t", "tmpfs", "-o", "size=80M", "tmpfs", str(place)]]
    else:
        make = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image), "80M"]
        commands = [make, ["mount", "-o", "loop", str(image), str(place)]]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip(f"needs the right to do: {' '.join(command[:3])}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """What another program does: take all that is free."""
    path = place / "foreign"
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return path


def free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def sound(home: Path) -> bool:
    with contextlib.closing(sqlite3.connect(home / "journal.db")) as db:
        return [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]


# -- a server ---------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """``/NAME?mib=N`` sends N MiB, ``&length=no`` without saying how many, ``&hold=K`` only once K such have asked.

    ``half`` is called after the first 10 MiB of each body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent = 0
        self.holding = 0
        self.changed = threading.Condition()
        self.half: Callable[[], object] = lambda: None

    def let_go(self) -> None:
        """Hold nobody any longer."""
        with self.changed:
            self.holding = sys.maxsize
            self.changed.notify_all()

    def url(self, name: str, mib: int, **more: Any) -> str:
        query = "".join(f"&{key}={value}" for key, value in more.items())
        return f"http://127.0.0.1:{self.server_port}/{name}?mib={mib}{query}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.begin()

    def do_GET(self) -> None:
        asked = self.begin()
        with contextlib.suppress(OSError):
            self.hold(int(asked.get("hold", 0)))
            for number in range(int(asked["mib"])):
                if number == 10:
                    self.server.half()
                self.wfile.write(bytes(MIB))
                self.server.sent += MIB

    def begin(self) -> dict[str, str]:
        asked = dict(part.split("=") for part in self.path.partition("?")[2].split("&"))
        self.send_response(200)
        if asked.get("length") != "no":
            self.send_header("Content-Length", str(int(asked["mib"]) * MIB))
        self.end_headers()
        self.wfile.flush()
        return asked

    def hold(self, count: int) -> None:
        with self.server.changed:
            self.server.holding += 1
            self.server.changed.notify_all()
            assert self.server.changed.wait_for(lambda: self.server.holding >= count, 30)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.let_go()
        made.shutdown()
        thread.join()


# -- fetching ---------------------------------------------------------------------------------------------------------


async def _fetched(job: Job) -> None:
    await job.run(SIZE, {"path": await job.fetch()})


FETCHED = Pipeline("fetched", _fetched, identity=lambda _: None)


def fetch(home: Path, *urls: str) -> list[Entry]:
    """One job for each address; how each ended."""

    async def main() -> list[Entry]:
        async with Runner("2G", home=home) as runner:
            for url in urls:
                await runner.submit(FETCHED, url)
            await runner.wait()
            return runner.entries

    return asyncio.run(main())


def told(entries: list[Entry]) -> list[str]:
    """How each ended, by its code; the whole messages are printed for who looks at a failure."""
    print(*(entry.error or entry.state for entry in entries), sep="\n")
    return [entry.error.code if entry.error else entry.state for entry in entries]


def test_who_wants_more_than_there_is_gets_not_a_byte_and_the_next_one_all(disk: Path, server: Server) -> None:
    entries = fetch(disk / "home", server.url("large", 500), server.url("small", 5))
    assert told(entries) == ["disk_full", "done"]
    assert "needs 500 MiB in" in str(entries[0].error)
    assert server.sent < 40 * MIB  # what the kernel takes in before anybody reads
    assert not (disk / "home/scratch").exists()
    assert sound(disk / "home")


def test_two_that_fit_one_by_one_but_not_together(disk: Path, server: Server) -> None:
    urls = [server.url(name, 40, hold=2) for name in ("a", "b")]
    entries = fetch(disk / "home", *urls)
    assert told(entries) == ["done", "done"]
    assert not (disk / "home/scratch").exists()
    assert sound(disk / "home")


def test_many_that_fit_one_by_one(disk: Path, server: Server) -> None:
    entries = fetch(disk / "home", *(server.url(f"{number}", 40) for number in range(6)))
    assert told(entries) == ["done"] * 6
    assert server.sent < (6 * 40 + 60) * MIB  # who waits has asked for nothing, or for what the kernel takes in


def test_two_that_learn_on_their_way_that_they_do_not_fit_together(disk: Path, server: Server) -> None:
    """Each holds what the other one lacks: one gives up what it has, and fetches again when the other has ended."""
    urls = [server.url(name, 40, length="no", hold=2) for name in ("a", "b")]
    entries = fetch(disk / "home", *urls)
    assert told(entries) == ["done", "done"]
    assert server.sent >= 2 * 40 * MIB
    assert not (disk / "home/scratch").exists()
    assert sound(disk / "home")


def test_one_that_is_too_large_by_itself_does_not_wait_and_keeps_nobody(disk: Path, server: Server) -> None:
    urls = [server.url("a", 40), server.url("large", 500), server.url("b", 40)]
    assert told(fetch(disk / "home", *urls)) == ["done", "disk_full", "done"]


def test_a_run_is_stopped_while_one_waits_for_room(disk: Path, server: Server) -> None:
    home = disk / "home"

    async def main() -> list[str]:
        async with Runner("2G", home=home) as runner:
            await runner.submit(FETCHED, server.url("holder", 40, hold=3))  # two ask, so it is held to the end
            async with asyncio.timeout(60):
                while free(disk) >= 40 * MIB:
                    await asyncio.sleep(0.01)
                await runner.submit(FETCHED, server.url("waiter", 40))
                while not any(job.stage == "waits for room on the disk" for job in runner.status().jobs):
                    await asyncio.sleep(0.01)
            await runner.stop(1)
            return [entry.state for entry in runner.entries]

    assert asyncio.run(main()) == ["queued", "queued"]


def test_a_body_of_unknown_length_meets_the_floor_on_its_way(disk: Path, server: Server) -> None:
    (endless,) = fetch(disk / "home", server.url("endless", 500, length="no"))
    assert told([endless]) == ["disk_full"]
    assert "more of http" in str(endless.error)
    assert told(fetch(disk / "home", server.url("small", 5))) == ["done"]  # what it took is free again


def test_others_fill_the_disk_while_one_fetches(disk: Path, server: Server) -> None:
    server.half = lambda: fill(disk)
    home = disk / "home"

    async def main() -> tuple[list[Entry], list[Any]]:
        async with Runner("2G", home=home) as runner:
            await runner.submit(FETCHED, server.url("endless", 500, length="no"))
            results = [r async for r in runner.map(COUNT, [{"n": 200, "pause": 0.01, "id": n} for n in range(2)])]
            await runner.wait()
            return [entry for entry in runner.entries if entry.pipeline is FETCHED], results

    entries, results = asyncio.run(main())
    assert told(entries) == ["disk_full"]
    assert [result.error for result in results] == [None, None]
    assert sound(home)


# -- writing ----------------------------------------------------------------------------------------------------------


def test_who_fills_scratch_without_asking_fails_and_those_beside_do_not(disk: Path) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        async with Runner("2G", home=disk / "home") as runner:

            async def all_of(step: Step, inputs: list[Any]) -> list[Any]:
                return [result async for result in runner.map(step, inputs)]

            return await asyncio.gather(
                all_of(Step(steps.writes_without_end, memory="40M"), [{"mib": 500, "pause": 0.02}]),
                all_of(COUNT, [{"n": 200, "pause": 0.02, "id": n} for n in range(2)]),
            )

    greedy, modest = asyncio.run(main())
    assert [result.error.code for result in greedy] == ["disk_full"]
    assert [result.error for result in modest] == [None, None]
    assert free(disk) > 30 * MIB  # what it wrote is gone
    assert sound(disk / "home")


CAPTIONS = Step("narrowboat.media.captions:write", memory="40M", cores=0)
SPEECH = Step(steps.speech, memory="20M")


async def _written(job: Job) -> None:
    given = {"n": job.options["n"], "text": "It was said at length. " * 100}
    async with contextlib.aclosing(job.stream(SPEECH, given)) as values:
        async for _ in values:
            pass
    items = await job.export(SPEECH)
    if job.options["fill"] and not Path(job.options["fill"], "foreign").exists():
        fill(Path(job.options["fill"]))
    more = {"facts": {}, "source": "x", "engine": {"name": "x", "version": "1"}, "language": "en"}
    await job.write(CAPTIONS, more, at={"items": items})


WRITTEN = Pipeline("written", _written, formats=("srt", "json"), identity=lambda options: options["n"])


def test_outputs_are_whole_or_not_there(disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    home, out = disk / "home", disk / "out"

    async def main() -> Entry:
        async with Runner("2G", home=home) as runner:
            options = {"n": 1000, "fill": str(disk)}
            await runner.submit(WRITTEN, str(source), options, out=out, formats=("srt", "json"))
            await runner.wait()
            return runner.entries[0]

    first = asyncio.run(main())
    assert told([first]) == ["disk_full"]
    assert not out.exists() or not list(out.iterdir())
    assert sound(home)
    (disk / "foreign").write_bytes(b"")
    second = asyncio.run(main())
    assert told([second]) == ["done"]
    assert second.items_resumed == 1000
    assert len(json.loads((out / "source.json").read_text())["segments"]) == 1000


# -- committing -------------------------------------------------------------------------------------------------------


def test_a_disk_that_others_fill_stops_no_job_that_wants_little(disk: Path) -> None:
    home = disk / "home"

    async def main() -> list[Any]:
        async with Runner("2G", home=home) as runner:
            inputs = [{"n": 100, "pause": 0.01, "id": n} for n in range(6)]
            results = []
            with contextlib.ExitStack() as stack:
                async for result in runner.map(COUNT, inputs):
                    if not results:
                        stack.enter_context(filling(disk))
                    results.append((result.error, [item["number"] async for item in result.items()]))
                async with asyncio.timeout(30):  # the filler goes on, with pauses, and takes all that is free
                    while free(disk) >= MIB:
                        await asyncio.sleep(0.01)
            return results

    results = asyncio.run(main())
    assert results == [(None, list(range(100)))] * 6
    assert sound(home)


FILLER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        for size in (1 << 16, 512, 1):
            try:
                file.write(bytes(size))
            except OSError:
                continue
            break
        else:
            time.sleep(0.05)  # it is another program, and does not take each byte in the moment that it is free
"""


@contextlib.contextmanager
def filling(place: Path) -> Iterator[None]:
    """Another program takes whatever becomes free, without a pause; begins when all is taken."""
    fill(place)
    with subprocess.Popen([sys.executable, "-c", FILLER, str(place / "foreign")]) as filler:
        try:
            yield
        finally:
            filler.kill()


SUPERVISOR = """
import asyncio, json, sys
import steps_for_tests as steps
from boxes import told_in_a_box, with_tests
from narrowboat import Runner, Step

async def main():
    async with Runner("2G", home=sys.argv[1]) as runner:
        async for result in runner.map(Step(steps.count, memory="20M"), json.loads(sys.argv[2])):
            print(result.error.code if result.error else "done", flush=True)

asyncio.run(main())
"""


def test_killed_on_a_full_disk_it_goes_on_when_there_is_space_again(disk: Path, tmp_path: Path) -> None:
    home, mark = disk / "home", tmp_path / "mark"
    inputs = [{"n": 150, "pause": 0.02, "mark": str(mark)}]
    command = [sys.executable, "-c", SUPERVISOR, str(home), json.dumps(inputs)]
    environment = {**os.environ, "PYTHONPATH": with_tests()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as supervisor:
        wait_for_lines(mark, 40)
        fill(disk)
        wait_for_lines(mark, 100)
        supervisor.send_signal(signal.SIGKILL)
    assert sound(home)
    before = len(mark.read_text().splitlines())
    (disk / "foreign").unlink()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["done"]
    computed = [int(line) for line in mark.read_text().splitlines()]
    assert set(computed) == set(range(150))
    again = computed[before]  # where it went on: what was not committed is at most a second's
    assert before - again <= 60
    assert len(computed) == 150 + before - again
    assert sound(home)


def wait_for_lines(path: Path, count: int) -> None:
    began = time.monotonic()
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() - began < 60, "it did not get so far"
        time.sleep(0.02)


# -- scratch in memory ------------------------------------------------------------------------------------------------

IN_MEMORY = """
import asyncio, json, sys
import steps_for_tests as steps
from boxes import told_in_a_box, with_tests
from narrowboat import Job, Pipeline, Runner, Step

async def fetched(job):
    await job.run(Step(steps.file_size, memory="20M"), {"path": await job.fetch()})

async def main(home, guard, memory, urls, calls):
    told = {}
    async with Runner(memory, home=home, guard=guard) as runner:
        for url in urls:
            await runner.submit(Pipeline("fetched", fetched, identity=lambda _: None), url)
        for name, function, reserved, given in calls:
            async for result in runner.map(Step(getattr(steps, function), memory=reserved, name=name), given):
                told.setdefault(name, []).append(result.error.to_json() if result.error else "done")
        await runner.wait()
        told["fetched"] = [e.error.to_json() if e.error else e.state for e in runner.entries]
        figures = runner.budget.snapshot()
        print(json.dumps({"told": told, "own": figures.own, "budget": figures.budget}), flush=True)

asyncio.run(main(sys.argv[1], *map(json.loads, sys.argv[2:])))
"""


def in_a_box(
    box: list[str], size: str, home: Path, memory: str | None, urls: list[str], calls: list[Any], guard: str = "auto"
) -> Any:
    """What a run with its home in memory told, and what the box measured."""
    command = [sys.executable, "-c", IN_MEMORY, str(home), *map(json.dumps, (guard, memory, urls, calls))]
    said, measured = told_in_a_box(box, size, command)
    assert (measured["kernel_kills"], measured["left"]) == (0, 0)
    return said["told"], measured


@pytest.mark.parametrize("memory", [None, "300M"])
@pytest.mark.parametrize("length", ["yes", "no"])
def test_a_download_to_memory_is_refused_when_it_does_not_fit(
    box: list[str], disk_of: Callable[[str], Path], server: Server, memory: str | None, length: str
) -> None:
    urls = [server.url("large", 400, length=length), server.url("small", 20)]
    said, measured = in_a_box(box, "300M", disk_of("2G") / "home", memory, urls, [])
    assert said["fetched"][0]["code"] == "disk_full"
    assert "which lies in memory" in said["fetched"][0]["message"]
    assert "--home on a disk" in said["fetched"][0]["hint"]
    assert said["fetched"][1] == "done"
    assert measured["peak_used"] < 300 * MIB


def test_what_fits_is_charged_and_others_wait_for_the_room(
    box: list[str], disk_of: Callable[[str], Path], server: Server
) -> None:
    calls = [["fine", "allocate", "100M", [{"mib": 80, "hold": 0.1, "n": n} for n in range(4)]]]
    said, measured = in_a_box(box, "400M", disk_of("2G") / "home", None, [server.url("source", 150)], calls)
    assert said == {"fine": ["done"] * 4, "fetched": ["done"]}
    assert measured["peak_used"] < 400 * MIB


@pytest.mark.parametrize("guard", ["auto", "polling"])
def test_who_writes_to_memory_without_asking_does_not_take_the_supervisor_along(
    box: list[str], disk_of: Callable[[str], Path], guard: str
) -> None:
    calls = [
        ["greedy", "writes_without_end", "40M", [{"mib": 500, "pause": 0.002}]],
        ["fine", "allocate", "60M", [{"mib": 40, "n": n} for n in range(3)]],
    ]
    said, measured = in_a_box(box, "300M", disk_of("2G") / "home", None, [], calls, guard)
    assert said["greedy"][0]["code"] in ("disk_full", "overrun")
    assert said["fine"] == ["done"] * 3
    assert measured["peak_used"] < 300 * MIB
