"""A remote speech engine at its worst: what is tried again, cut smaller or given up, what is paid for, what is left."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import beside
from fakes.decoding import RATE
from fakes.episode import Episode, build
from fakes.made_up import clips
from fakes.running import EngineServer

from narrowboat import Runner
from narrowboat.errors import NarrowboatError
from narrowboat.pipelines.transcribe.workflow import PIPELINE, options
from narrowboat.runner import calls


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    return build(clips(), tmp_path_factory.mktemp("episode"), seconds=240, seed=4)


class Bench:
    """One transcription in a runner of its own, with waits that are short."""

    def __init__(self, episode: Episode, server: EngineServer, folder: Path) -> None:
        self.episode = episode
        self.server = server
        self.folder = folder
        server.set(answer="hearing", episodes=[str(episode.folder)])

    def run(self, *faults: Any, chunk: float = 60, vendor: str = "gemini") -> NarrowboatError | None:
        """Transcribe; why it failed, if it did."""
        self.server.set(faults=list(faults))
        return asyncio.run(self._run(chunk, "gemini:gemini-2.5-flash" if vendor == "gemini" else "openai:whisper-1"))

    async def _run(self, chunk: float, model: str) -> NarrowboatError | None:
        given = options(model=model, language="en", max_download=None, cache=self.folder, chunk=chunk)
        async with Runner(beside("512M"), home=self.folder / "home") as runner:
            job_id = await runner.submit(
                PIPELINE, str(self.episode.flac), {**given, "summary": None}, out=self.folder / "out", formats=["json"]
            )
            await runner.wait()
            self.history = [line.message for line in await runner.journal.history(job_id)]
            return next(entry.error for entry in runner.entries if entry.id == job_id)

    @property
    def transcript(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / "episode.json").read_text())
        return found

    def is_whole(self) -> bool:
        texts = (segment["text"] for segment in self.transcript["segments"])
        said = [word.strip(".").lower() for text in texts for word in text.split()]
        return said == [word.text.strip(".").lower() for word in self.episode.words]

    def answered(self) -> Counter[tuple[int, int]]:
        """How often each stretch, in samples, got an answer that is whole."""
        entries = [entry for op in ("generate", "transcribe") for entry in self.server.log(op)]
        good = [
            entry["answer"]
            for entry in entries
            if entry["outcome"] == "answered" and entry["answer"].get("finish", "stop") == "stop"
        ]
        return Counter((one["first_sample"], one["last_sample"]) for one in good if "first_sample" in one)


@pytest.fixture
def bench(
    episode: Episode, engine_server: EngineServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Whatever a test does: nothing stays in the remote store, and no key is in a file of the home or the outputs."""
    monkeypatch.setattr(calls, "BACKOFF_S", 0.05)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-planted")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", engine_server.url)
    monkeypatch.setenv("OPENAI_BASE_URL", engine_server.openai_url)
    yield Bench(episode, engine_server, tmp_path)
    assert engine_server.files() == []
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "journal.db" for path in written)
    assert [path for path in written if b"planted" in path.read_bytes()] == []


def test_all_that_passes_passes(bench: Bench) -> None:
    """503, 429 with RetryInfo, a cut connection, a body that is no JSON: tried again, and nothing more."""
    wait = {"kind": "429", "nth": [6], "wait_s": 0.2}
    assert bench.run("503", None, "cut", "malformed", "not_json", wait) is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}


def test_a_hang_is_given_up_and_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_S", 3.0)
    assert bench.run(None, "hang") is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}


def test_files_that_fail_on_their_way_leave_nothing(bench: Bench) -> None:
    """Not taken, lost on the way, lost when all of it was there, not ready yet, not removed at once."""
    bench.server.set(processing_polls=1)
    lost = [
        {"kind": "cut", "op": "upload_chunk", "nth": 2},
        {"kind": "503", "op": "upload_chunk", "nth": 4, "late": True},
    ]
    taken = [{"kind": "503", "op": "upload_start", "nth": 3}, {"kind": "500", "op": "file_get", "nth": 3}]
    kept = [
        {"kind": "cut", "op": "file_delete", "nth": 2, "late": True},
        {"kind": "503", "op": "file_delete", "nth": 4},
    ]
    assert bench.run(*lost, *taken, *kept) is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}


def test_an_empty_answer_where_somebody_speaks_is_told(bench: Bench) -> None:
    assert bench.run({"kind": "nothing", "nth": [2]}, vendor="openai") is None
    assert not bench.is_whole()
    (unheard,) = bench.transcript["unheard"]
    words = bench.episode.between(round(unheard["start"] * RATE), round(unheard["end"] * RATE))
    said = sum(len(segment["text"].split()) for segment in bench.transcript["segments"])
    assert said + len(words) == len(bench.episode.words)


def test_what_is_cut_off_is_cut_smaller(bench: Bench) -> None:
    """The first chunk, and the first piece of it again: these go ahead, so that they are the first two calls."""
    assert bench.run("loop", "truncated", chunk=120) is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}
    assert bench.transcript["usage"]["calls"] == len(bench.server.log("generate"))


def test_what_is_cut_off_however_short_it_is_fails(bench: Bench) -> None:
    error = bench.run({"kind": "truncated"})
    assert error is not None
    assert error.code == "engine"
    assert "cut off even for so short a stretch" in error.message


def test_an_answer_that_ends_early_is_asked_for_again_in_pieces(bench: Bench) -> None:
    segment = {"start": "00:01", "end": "00:20", "speaker": "Host", "text": "Hello and welcome to the boat."}
    bench.server.set(answer={"json": {"language": "en", "speakers": [], "segments": [segment]}})
    assert bench.run(chunk=300) is None
    (unheard, *others) = bench.transcript["unheard"]
    assert len(bench.server.log("generate")) == 3  # all of it, and two pieces, which are short enough to be believed
    assert len(others) == 1
    assert 20 <= unheard["start"] < unheard["end"] <= 240
    assert any("the engine gave no words" in line for line in bench.history)


@pytest.mark.parametrize(("vendor", "kind"), [("gemini", "400"), ("gemini", "blocked"), ("openai", "400")])
def test_what_fails_for_good_waits_for_those_on_their_way(bench: Bench, vendor: str, kind: str) -> None:
    """Also of a block, which OpenAI's transcriptions have no word for: there it is a refusal."""
    error = bench.run({"kind": kind, "nth": [2]}, vendor=vendor)
    assert error is not None
    assert error.code == "engine"
    assert error.message.startswith("00:0")
    paid = bench.answered()
    assert bench.run(vendor=vendor) is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}
    assert set(paid) <= set(bench.answered())


def test_five_failures_in_a_row_are_the_end(bench: Bench) -> None:
    error = bench.run({"kind": "503"})
    assert error is not None
    assert error.code == "remote"
    assert error.message.startswith("00:00:00 to 00:0")
    assert error.message.endswith("(5 times in a row)")
    assert len(bench.server.log("generate")) == 5  # the first chunk alone: nobody else was sent


def test_servers_like_openai_have_the_same_rules(bench: Bench) -> None:
    wait = {"kind": "429", "nth": [3], "wait_s": 0.2}
    assert bench.run("503", "cut", wait, "malformed", vendor="openai") is None
    assert bench.is_whole()
    assert set(bench.answered().values()) == {1}
