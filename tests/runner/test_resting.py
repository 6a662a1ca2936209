"""Sources that failed are left alone for a time: real answers, real runs, and a clock that is set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boxes import beside
from loopback import Answer, Request, Server, serve
from steps_for_tests import echo

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.errors import FetchError, SourceError, from_json
from narrowboat.journal import Journal
from narrowboat.runner import intake
from narrowboat.runner.failed_sources import failed_sources
from narrowboat.runner.resting import KEPT_S, REST_S, Resting
from narrowboat.runner.upkeep import clean, forget_sources
from narrowboat.sources.locate import Source, locate
from narrowboat.values import Caps

__all__ = ["serve"]
Serve = Callable[..., Server]
ECHO = Step(echo, memory="20M")
BODY = b"x" * 5000


async def _workflow(job: Job) -> None:
    await job.run(ECHO, {}, at={"path": await job.fetch()})


PIPELINE = Pipeline("fetching", _workflow, identity=lambda _: None)


class Place:
    """A home in which one run follows another. ``hours`` is what the clock of the journal is ahead."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.ids: list[str] = []
        self._patch = monkeypatch
        monkeypatch.setattr(intake, "find_pipeline", lambda _: PIPELINE)

    def run(self, *sources: str, caps: Caps | None = None, **given: Any) -> list[dict[str, Any]]:
        """Submits; the reasons of those that failed."""

        async def main() -> list[dict[str, Any]]:
            async with Runner(beside("512M"), home=self.home, caps=caps) as runner:
                self.ids = [await runner.submit(PIPELINE, source, **given) for source in sources]
                await runner.wait()
                return [entry.error.to_json() if entry.error else {} for entry in runner.entries]

        return asyncio.run(main())

    def retry(self) -> str:
        async def main() -> str:
            async with Runner(beside("512M"), home=self.home) as runner:
                row = await runner.retry(self.ids[0])
                await runner.wait()
                return (await runner.journal.job(row.id)).state

        return asyncio.run(main())

    def later(self, hours: float) -> None:
        """Time passes: what is remembered moves into the past."""

        async def main() -> None:
            async with await Journal.open(self.home, owner="test") as journal:
                move = "UPDATE failed_sources SET first = first - :s, last = last - :s, until = until - :s"
                await journal._write(lambda db: db.execute(move, {"s": hours * 3600}).rowcount)

        asyncio.run(main())

    def remembered(self) -> list[dict[str, Any]]:
        return failed_sources(self.home)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def _answers(status: str, **headers: object) -> Answer:
    return lambda request: request.send(status, b"", **headers)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_one_that_is_not_there_rests_at_once(place: Place, serve: Serve, status: str) -> None:
    server = serve(_answers(status))
    (first,) = place.run(server.url())
    assert (first["code"], first["facts"]["status"]) == ("source", int(status[:3]))
    asked = len(server.requests)

    (second,) = place.run(server.url())
    assert second["code"] == "source_rests"
    assert f"{server.url()} failed and is left alone for 24 h 0 min more; the last time: " in second["message"]
    assert second["message"].endswith(f"answered {status}")
    assert (second["facts"]["failures"], second["facts"]["last_code"]) == (1, "source")
    assert "`narrowboat retry`" in second["hint"]
    assert len(server.requests) == asked  # nobody was asked

    (remembered,) = place.remembered()
    assert (remembered["failures"], remembered["resting"], remembered["source"]) == (1, True, server.url())
    assert remembered["until"] - remembered["last"] == REST_S

    place.later(hours=23.9)
    assert place.run(server.url())[0]["code"] == "source_rests"
    place.later(hours=0.2)
    assert place.run(server.url())[0]["code"] == "source"  # asked again, and it rests again
    assert place.run(server.url())[0]["facts"]["failures"] == 2
    assert len(server.requests) == 2 * asked


def test_three_other_failures_in_a_row(place: Place, serve: Serve) -> None:
    server = serve(_answers("403 Forbidden"))
    for number in range(3):
        assert place.run(server.url())[0]["code"] == "source"
        assert place.remembered()[0]["failures"] == number + 1
    asked = len(server.requests)
    (fourth,) = place.run(server.url())
    assert "failed 3 times in a row and is left alone for" in fourth["message"]
    assert len(server.requests) == asked


def test_a_success_forgets(place: Place, serve: Serve) -> None:
    fails = True

    def answer(request: Request) -> None:
        request.send(*(("403 x", b"") if fails else ("200 OK", BODY)))

    server = serve(answer)
    place.run(server.url())
    place.run(server.url())
    fails = False
    assert place.run(server.url()) == [{}]
    assert place.remembered() == []
    fails = True
    place.run(server.url("/other.mp3"))
    assert place.remembered()[0]["failures"] == 1


def test_asked_for_by_hand_it_is_fetched_all_the_same(place: Place, serve: Serve) -> None:
    fails = True

    def answer(request: Request) -> None:
        request.send(*(("404 x", b"") if fails else ("200 OK", BODY)))

    server = serve(answer)
    place.run(server.url())
    asked = len(server.requests)
    assert place.retry() == "failed"  # asked again
    assert len(server.requests) > asked
    assert place.remembered()[0]["failures"] == 2
    assert place.run(server.url(), again=True)[0]["code"] == "source"
    assert place.run(server.url())[0]["code"] == "source_rests"
    fails = False
    assert place.retry() == "done"
    assert place.remembered() == []


def test_what_came_half_is_the_same_job_while_it_rests(place: Place, serve: Serve) -> None:
    """A server that answers, and whose content is known therefore, but that never sends all of it."""
    server = serve(lambda r: r.send("200 OK", b"<html>" * 400, ETag='"one"'))
    ids = []
    for _ in range(4):
        place.run(server.url())
        ids += place.ids
    assert len(set(ids)) == 1
    assert place.remembered()[0]["failures"] == 3


def test_too_large_rests_until_more_is_allowed(place: Place, serve: Serve) -> None:
    server = serve(lambda r: r.send("200 OK", BODY))
    (first,) = place.run(server.url(), options={"max_download": 1000})
    assert (first["code"], first["facts"]["limit_bytes"]) == ("too_large", 1000)
    assert [request.method for request in server.requests] == ["HEAD"]  # which told enough
    assert place.run(server.url(), options={"max_download": 1000})[0]["code"] == "source_rests"
    assert place.run(server.url(), caps=Caps(file_bytes=900))[0]["code"] == "source_rests"
    assert len(server.requests) == 1
    assert place.run(server.url(), options={"max_download": 10_000}) == [{}]
    assert place.remembered() == []


def test_endless_is_read_to_the_cap_once(place: Place, serve: Serve) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Content_Length=None)
        while request.method == "GET":
            request.conn.sendall(bytes(65536))

    server = serve(answer)
    assert place.run(server.url(), options={"max_download": 300_000})[0]["code"] == "too_large"
    asked = len(server.requests)
    assert place.run(server.url(), options={"max_download": 300_000})[0]["code"] == "source_rests"
    assert len(server.requests) == asked


def test_who_asks_to_be_left_alone_is(place: Place, serve: Serve) -> None:
    server = serve(_answers("503 Busy", Retry_After="7200"))
    assert place.run(server.url())[0]["code"] == "fetch"
    (second,) = place.run(server.url())
    assert second["code"] == "source_rests" and "left alone for 2 h 0 min more" in second["message"]
    place.later(hours=2.1)
    assert place.run(server.url())[0]["code"] == "fetch"


def test_what_is_no_failure_of_the_source_is_not_remembered(place: Place, serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda r: r.send("200 OK", BODY))
    assert place.run(str(tmp_path / "missing.mp3"))[0]["code"] == "source"

    async def refused() -> None:
        async with Runner(beside("512M"), home=place.home, allowed_networks=[]) as runner:
            job_id = await runner.submit(PIPELINE, server.url())
            await runner.wait()
            row = await runner.journal.job(job_id)
            assert row.reason is not None and row.reason["code"] == "address_refused"

    asyncio.run(refused())
    assert place.remembered() == []


def test_no_network_here_says_nothing_of_the_source(tmp_path: Path) -> None:
    async def main() -> None:
        async with await Journal.open(tmp_path, owner="test") as journal:
            source = locate("https://example.org/a.mp3")
            for _ in range(3):
                await Resting(journal).failed(source, FetchError("no network", offline=True), None)
            await Resting(journal).check(source, None)

    asyncio.run(main())
    assert failed_sources(tmp_path) == []


def test_seven_days_without_a_failure_forget(place: Place, serve: Serve, tmp_path: Path) -> None:
    server = serve(_answers("403 x"))
    place.run(server.url())
    place.run(server.url())
    place.later(hours=KEPT_S / 3600 + 1)
    assert place.remembered() == []
    place.run(server.url())
    assert place.remembered()[0]["failures"] == 1  # the row begins anew
    place.later(hours=KEPT_S / 3600 + 1)
    place.run(server.url("/other.mp3"))

    async def rows() -> int:
        async with await Journal.open(place.home, owner="test") as journal:
            return len(await journal._read(lambda db: db.execute("SELECT key FROM failed_sources").fetchall()))

    assert asyncio.run(rows()) == 1  # the old one is gone from the file too


def test_secrets_are_not_remembered(place: Place, serve: Serve) -> None:
    server = serve(_answers("404 x"))
    url = server.url("/a.mp3?token=sesame").replace("//", "//me:opensesame@")
    place.run(url)
    assert place.run(url)[0]["code"] == "source_rests"
    assert "sesame" not in json.dumps(place.remembered())
    for file in place.home.glob("journal.db*"):
        assert b"sesame" not in file.read_bytes()
    assert asyncio.run(forget_sources(place.home, url)) == [server.url("/a.mp3?…")]


def test_forgetting(tmp_path: Path) -> None:
    error = SourceError("x answered 404", status=404)
    addresses = [f"https://example.org/{name}.mp3" for name in "abcde"]

    async def fill() -> None:
        async with await Journal.open(tmp_path, owner="test") as journal:
            for address in addresses:
                await Resting(journal).failed(locate(address), error, None)
            await Resting(journal).failed(Source("file", "/a.mp3", "a"), error, None)

    def forget(which: str) -> list[str]:
        return asyncio.run(forget_sources(tmp_path, which))

    asyncio.run(fill())
    ids = {row["source"]: row["id"] for row in failed_sources(tmp_path)}
    assert sorted(ids) == addresses
    assert forget(addresses[0]) == [addresses[0]]
    assert forget(ids[addresses[1]]) == [addresses[1]]
    assert forget(ids[addresses[2]][:6]) == [addresses[2]]
    assert forget("https://example.org/none.mp3") == forget("ffffffff") == forget("%") == []
    assert sorted(forget("all")) == addresses[3:]
    assert failed_sources(tmp_path) == []


def test_clean_does_not_forget(place: Place, serve: Serve) -> None:
    server = serve(_answers("404 x"))
    place.run(server.url())
    assert len(asyncio.run(clean(place.home, older_s=None)).jobs) == 1
    assert place.remembered()
    (reason,) = place.run(server.url())
    assert str(from_json(reason)).startswith(f"{server.url()} failed and is left alone")
