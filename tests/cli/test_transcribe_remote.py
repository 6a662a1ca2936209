"""Transcribing with remote engines, by the command: seams, speakers, what is paid for, what is left."""

from __future__ import annotations

import json
import os
import signal
import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_harness import Cli, Done
from fakes.decoding import RATE
from fakes.episode import Episode, build, read_clips
from fakes.made_up import clips
from fakes.running import EngineServer

from narrowboat.journal.database import connect_reading

ALL = ("--formats", "txt,srt,vtt,json")


@pytest.fixture(scope="session")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Four minutes of three speakers, made up."""
    return build(clips(), tmp_path_factory.mktemp("made-up"), seconds=240, seed=4)


@pytest.fixture(scope="session")
def read_aloud(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Books, read by five people: nine minutes."""
    folder = tmp_path_factory.mktemp("read-aloud")
    return build(read_clips(shared_data / "speech" / "librispeech"), folder, seconds=540, seed=11)


class Far:
    """The command, with an engine that is on loopback."""

    def __init__(self, cli: Cli, server: EngineServer) -> None:
        self.cli = cli
        self.server = server
        self.keys = {"GEMINI_API_KEY": "AIza-planted", "OPENAI_API_KEY": "sk-planted"}
        self.done: list[Done] = []
        self.keys |= {"GOOGLE_GEMINI_BASE_URL": server.url, "OPENAI_BASE_URL": server.openai_url}

    def hears(self, *episodes: Episode) -> None:
        self.server.set(answer="hearing", episodes=[str(one.folder) for one in episodes])

    def run(self, episode: Path, *args: object, model: str = "gemini:gemini-2.5-flash", **env: str) -> Done:
        done = self.cli.run("transcribe", episode, "--model", model, *args, **{**self.keys, **env})
        self.done.append(done)
        return done

    def leaks(self) -> list[str]:
        """Where a key can be read: files, and what commands printed."""
        files = [path for path in self.cli.folder.rglob("*") if path.is_file()]
        printed = [text for done in self.done for text in (done.out, done.err)]
        return [str(path) for path in files if b"planted" in path.read_bytes()] + [
            text for text in printed if "planted" in text
        ]

    def transcript(self, name: str = "episode") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.cli.out / f"{name}.json").read_text())
        return found

    def answers(self) -> list[dict[str, Any]]:
        """What was answered, all of which is paid for."""
        entries = [entry for op in ("generate", "transcribe") for entry in self.server.log(op)]
        answers = [entry["answer"] for entry in entries if "answer" in entry]  # the others are on their way, or failed
        return [answer for answer in answers if answer.get("finish", "stop") in ("stop", "length")]

    def calls(self) -> list[tuple[int, int]]:
        """The stretches that were answered, in samples."""
        return [(one["first_sample"], one["last_sample"]) for one in self.answers() if "first_sample" in one]

    def committed(self) -> dict[str, str]:
        """The answers that are in the journal: key of the step and its result."""
        db = connect_reading(self.cli.home / "journal.db")
        rows = db.execute("SELECT key, result FROM steps WHERE state = 'done' AND key LIKE 'listen/%'").fetchall()
        db.close()
        return {row[0]: row[1] for row in rows}


@pytest.fixture
def far(cli: Cli, engine_server: EngineServer) -> Iterator[Far]:
    """Whatever a test does, no key is in a file or in what was printed."""
    made = Far(cli, engine_server)
    yield made
    assert made.leaks() == []


def said(transcript: dict[str, Any]) -> list[str]:
    texts = (segment["text"] for segment in transcript["segments"])
    return [word.strip(".").lower() for text in texts for word in text.split()]


def words(episode: Episode) -> list[str]:
    return [word.text.strip(".").lower() for word in episode.words]


def samples(key: str) -> tuple[int, int]:
    start, _, end = key.removeprefix("listen/").partition("-")
    return round(float(start) * RATE), round(float(end) * RATE)


# -- seams ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", ["1m", "2m", "45m"])
def test_no_word_is_lost_or_said_twice_at_a_seam(far: Far, read_aloud: Episode, chunk: str) -> None:
    far.hears(read_aloud)
    done = far.run(read_aloud.flac, *ALL, "--chunk", chunk)
    assert done.code == 0, done.err
    transcript = far.transcript()
    assert said(transcript) == words(read_aloud)
    times = [(word.start / RATE, word.end / RATE) for word in read_aloud.words]
    assert transcript["segments"][0]["start"] == pytest.approx(times[0][0], abs=0.1)
    assert transcript["segments"][-1]["end"] == pytest.approx(times[-1][1], abs=0.1)
    for before, after in zip(transcript["segments"], transcript["segments"][1:], strict=False):
        assert before["start"] <= before["end"] <= after["start"]


@pytest.mark.parametrize("model", ["openai:whisper-1", "openai:gpt-4o-transcribe-diarize"])
def test_servers_that_speak_as_openai_does(far: Far, episode: Episode, model: str) -> None:
    far.hears(episode)
    done = far.run(episode.flac, "--formats", "json", "--chunk", "1m", "--memory", "256M", model=model)
    assert done.code == 0, done.err
    transcript = far.transcript()
    assert said(transcript) == words(episode)
    assert transcript["language"] == ("en" if model == "openai:whisper-1" else None)
    assert transcript["engine"]["name"] == model
    assert transcript["usage"]["calls"] == len(far.answers()) >= 4
    assert far.server.files() == []


# -- what is written --------------------------------------------------------------------------------------------------


def test_outputs_tell_who_speaks_and_when(far: Far, episode: Episode) -> None:
    """The fake numbers speakers anew in each chunk, in another order, unless it is told who is who."""
    far.hears(episode)
    assert far.run(episode.flac, *ALL, "--chunk", "2m").code == 0
    voices: dict[str, set[str]] = {}
    for segment in far.transcript()["segments"]:
        first, last = round(segment["start"] * RATE) + 100, round(segment["end"] * RATE) - 100
        (voice,) = {word.speaker for word in episode.between(first, last)}
        voices.setdefault(voice, set()).add(segment["speaker"])
    assert sorted(name for names in voices.values() for name in names) == ["Guest", "Host", "Speaker 1"]
    out = {path.suffix: path.read_text() for path in far.cli.out.iterdir()}
    assert out[".txt"].startswith("[00:00:0")
    for (name,) in voices.values():
        assert f"] {name}: " in out[".txt"]
        assert f"\n{name}: " in out[".srt"]
        assert f"<v {name}>" in out[".vtt"]
    asked = len(far.server.log())
    other = far.cli.folder / "other"
    assert far.run(episode.flac, "--formats", "txt", "--chunk", "1m", "--out", other).code == 0
    assert (other / "episode.txt").read_text() == out[".txt"]
    assert len(far.server.log()) == asked  # it came from the journal


def test_strangers_are_put_together_where_there_is_a_ground(far: Far, episode: Episode) -> None:
    def answer(label: str) -> dict[str, Any]:
        segment = {"start": "00:01", "end": "01:59", "speaker": label, "text": "This is what one of us has to say."}
        return {"language": "en", "speakers": [{"label": label, "name": "", "voice": "low"}], "segments": [segment]}

    groups = {"groups": [{"members": [0, 1], "ground": "both talk of boats"}]}
    far.server.set(answer={"script": [answer("Host"), answer("New 1"), answer("New 1"), groups]})
    assert far.run(episode.flac, "--formats", "json", "--chunk", "2m").code == 0
    transcript = far.transcript()
    assert [segment["speaker"] for segment in transcript["segments"]] == ["Host", "Speaker 1", "Speaker 1"]
    assert transcript["usage"]["calls"] == len(far.server.log("generate")) == 4


def test_where_nobody_speaks_nothing_is_sent(far: Far, tmp_path: Path) -> None:
    path = tmp_path / "quiet.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE * 70))
    done = far.run(path, *ALL, "--chunk", "1m")
    assert done.code == 0, done.err
    assert far.server.log() == []
    assert far.transcript("quiet")["segments"] == []


# -- killed, and gone on ----------------------------------------------------------------------------------------------


def killed(far: Far, episode: Episode, chunk: str) -> dict[str, str]:
    """Begin, and kill the supervisor when two answers are committed, their chunks are gone and others are on their way;
    what is committed.
    """
    far.hears(episode)
    far.server.set(latency_s=0.7)
    far.cli.home.mkdir(exist_ok=True)
    running = far.cli.start(
        "transcribe",
        episode.flac,
        "--model",
        "gemini:gemini-2.5-flash",
        "--chunk",
        chunk,
        *ALL,
        **{**far.keys, "CHUNK_CONCURRENCY": "2"},
    )

    def two_are_over() -> bool:
        if not (far.cli.home / "journal.db").exists() or len(over := list(far.committed())[:2]) < 2:
            return False
        (scratch,) = (far.cli.home / "scratch").iterdir()
        return not any((scratch / "chunks" / f"{samples(key)[0]:010}.flac").exists() for key in over)

    far.cli.until(two_are_over, running)
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    far.server.set(latency_s=0)
    return far.committed()


def undisturbed(far: Far, episode: Episode, folder: str) -> dict[str, bytes]:
    other = str(far.cli.folder / folder)
    assert far.run(episode.flac, *ALL, "--chunk", "1m", NARROWBOAT_HOME=f"{other}-home", NARROWBOAT_OUT=other).code == 0
    return {path.name: path.read_bytes() for path in Path(other).iterdir()}


def test_killed_it_goes_on_and_pays_for_no_committed_chunk_again(far: Far, episode: Episode) -> None:
    far.hears(episode)
    wanted = undisturbed(far, episode, "undisturbed")
    before = len(far.calls())
    committed = killed(far, episode, "1m")
    scratch = next((far.cli.home / "scratch").iterdir()) / "chunks"
    for path in scratch.iterdir():  # some are gone, some are cut short
        path.unlink() if path.stat().st_size % 2 else os.truncate(path, 1000)
    paid = far.calls()[before:]
    assert far.run(episode.flac, *ALL, "--chunk", "1m").code == 0
    assert {path.name: path.read_bytes() for path in far.cli.out.iterdir()} == wanted
    assert {key: result for key, result in far.committed().items() if key in committed} == committed
    again = far.calls()[before + len(paid) :]
    assert set(again) & {samples(key) for key in committed} == set()
    assert max(Counter(far.calls()[before:]).values()) <= 2  # twice only what was on its way
    assert far.server.files() == []
    assert not (far.cli.home / "scratch").exists()


def test_gone_on_with_another_chunk_what_was_answered_stays(far: Far, episode: Episode) -> None:
    committed = killed(far, episode, "1m")
    paid = len(far.calls())
    assert far.run(episode.flac, *ALL, "--chunk", "2m").code == 0
    assert said(far.transcript()) == words(episode)
    assert set(far.calls()[paid:]) & {samples(key) for key in committed} == set()


# -- what can't be ----------------------------------------------------------------------------------------------------


def test_a_blocked_chunk_fails_the_job_and_only_that_is_asked_again(far: Far, episode: Episode) -> None:
    far.hears(episode)
    far.server.set(faults=[{"kind": "blocked", "nth": [3]}])
    report = far.cli.folder / "report.json"
    done = far.run(episode.flac, *ALL, "--chunk", "1m", "--report", report)
    assert done.code == 1
    assert "blocked" in report.read_text()
    assert "blocked" in done.err + done.out
    assert " to 00:0" in done.err + done.out
    assert list(far.cli.out.iterdir()) == []
    assert far.server.files() == []
    paid = far.calls()
    far.server.set(faults=[])
    again = far.cli.run("retry", "j1", **far.keys)
    assert again.code == 0, again.err
    assert said(far.transcript()) == words(episode)
    assert set(far.calls()[len(paid) :]) & set(paid) == set()


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("--model", "gemini:gemini-2.5-flash"), "GEMINI_API_KEY"),
        (("--model", "openai:whisper-1"), "OPENAI_API_KEY"),
        (("--model", "gemini:"), "gemini:MODEL"),
        (("--model", "openai:whisper-1@localhost:8000"), "http://"),
        (("--model", "openai:w@http://127.0.0.1:1/v1", "--chunk", "10s"), "1m to 45m"),
        (("--model", "openai:w@http://127.0.0.1:1/v1", "--chunk", "2h"), "1m to 45m"),
        (("--model", "openai:w@http://127.0.0.1:1/v1", "--language", "klingon"), "such as en"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_starts(cli: Cli, args: tuple[str, ...], hint: str) -> None:
    without = dict.fromkeys(
        ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"), ""
    )
    done = cli.run("transcribe", "talk.mp3", *args, **without)
    assert done.code == 2
    assert hint in done.err
    assert not cli.home.exists()


def test_what_can_not_fit_is_refused_before_anything_is_fetched(far: Far, episode: Episode) -> None:
    done = far.run(episode.flac, "--memory", "110M")
    assert done.code == 3
    assert "110 MiB" in done.out + done.err or "budget" in done.out + done.err
    assert far.server.log() == []
