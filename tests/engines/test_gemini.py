"""Gemini through Google's client: questions with files, what is left behind, what it says when it will not answer."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asking import GEMINI_KEY, Told, gemini_at, keys, send_json, told
from fakes.running import EngineServer
from loopback import Server, serve

from narrowboat import context
from narrowboat.engines import gemini, wire
from narrowboat.engines.answers import File
from narrowboat.engines.remote import RemoteModel
from narrowboat.errors import EngineError, Interrupted, RemoteError

__all__ = ["keys", "serve", "told"]
pytestmark = pytest.mark.usefixtures("keys")
MIB = 1 << 20
LARGE = hashlib.shake_256(b"sound").digest(17 * MIB + 5)


@pytest.fixture
def model(engine_server: EngineServer) -> RemoteModel:
    return gemini_at(engine_server.url)


@pytest.fixture
def sound(tmp_path: Path) -> File:
    path = tmp_path / "a talk of mine.flac"
    path.write_bytes(b"fLaC" + bytes(1000))
    return File(path, "audio/flac")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "_POLL_S", 0.01)


# -- questions --------------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer(model: RemoteModel, engine_server: EngineServer) -> None:
    answer = gemini.generate(model, ["What", "floats?"], system="Be short.", max_tokens=50, temperature=0)
    assert (answer.text, answer.finish) == ("This is a canned answer.", "stop")
    assert answer.usage["output_tokens"] == 6
    (seen,) = engine_server.log()
    assert seen["question"]["texts"] == ["What", "floats?"]
    assert seen["question"]["system"] == "Be short."
    assert seen["question"]["max_tokens"] == 50
    assert seen["key"] == hashlib.sha256(GEMINI_KEY.encode()).hexdigest()[:16]
    assert not seen["key_in_url"]


@pytest.mark.parametrize(("end", "version"), [("", "v1"), ("/v1", "v1"), ("/v1beta", "v1beta")])
def test_the_address_may_choose_the_version(engine_server: EngineServer, sound: File, end: str, version: str) -> None:
    gemini.generate(gemini_at(engine_server.url + end), ["What is said?", sound])
    assert {entry["path"].strip("/").removeprefix("upload/").split("/")[0] for entry in engine_server.log()} == {
        version
    }


def test_an_answer_that_follows_a_schema(model: RemoteModel, engine_server: EngineServer) -> None:
    schema = {"type": "object", "properties": {"boat": {"type": "string"}}, "required": ["boat"]}
    assert set(json.loads(gemini.generate(model, ["Which?"], schema=schema).text)) == {"boat"}
    assert engine_server.log()[0]["question"]["schema"] == schema
    engine_server.set(faults=["fenced"])
    assert set(json.loads(gemini.generate(model, ["Which?"], schema=schema).text)) == {"boat"}


def test_many_at_once_share_a_client(model: RemoteModel, engine_server: EngineServer, sound: File) -> None:
    engine_server.set(latency_s=0.2)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda n: gemini.generate(model, [f"question {n}", sound]), range(12)))
    assert {answer.text for answer in answers} == {"This is a canned answer."}
    assert engine_server.files() == []
    assert engine_server.state()["paid"]["most"] > 4


def answered(serve: Callable[..., Server], value: Any) -> RemoteModel:
    return gemini_at(serve(lambda request: send_json(request, value)).url(""))


def test_thoughts_are_counted_and_not_told(serve: Callable[..., Server]) -> None:
    parts = [{"text": "Let me think.", "thought": True}, {"text": "Boats "}, {"text": "float."}]
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 30}
    value = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
    answer = gemini.generate(answered(serve, value), ["What floats?"])
    assert answer.text == "Boats float."
    assert answer.usage == {"input_tokens": 9, "output_tokens": 34}


def test_an_answer_that_was_cut_off_before_it_began(serve: Callable[..., Server]) -> None:
    value = {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]}
    answer = gemini.generate(answered(serve, value), ["What floats?"])
    assert (answer.text, answer.finish) == ("", "length")
    assert answer.usage == {"input_tokens": None, "output_tokens": None}


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ({}, RemoteError, "it has no candidates"),
        ([], RemoteError, "makes no sense"),
        ({"candidates": 5}, RemoteError, "makes no sense"),
        ({"candidates": [{"finishReason": "STOP"}]}, EngineError, "empty answer"),
        ({"candidates": [{"finishReason": "OTHER"}]}, RemoteError, "for no reason that it tells"),
        ({"candidates": [{"finishReason": "SPII"}]}, EngineError, r"blocked the answer \(SPII\)"),
        ({"candidates": [{"finishReason": "NEW_RULE"}]}, EngineError, r"blocked the answer \(NEW_RULE\)"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, EngineError, r"blocked the question \(SAFETY\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*is not a valid:UserWarning")
def test_answers_that_are_none(serve: Callable[..., Server], value: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        gemini.generate(answered(serve, value), ["What floats?"])


def test_a_bad_key_is_told(serve: Callable[..., Server]) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.", "details": details}
    server = serve(lambda request: send_json(request, {"error": error}, "400 Bad Request"))
    with pytest.raises(EngineError, match="does not know the key") as raised:
        gemini.generate(gemini_at(server.url("")), ["What floats?"])
    assert "GEMINI_API_KEY" in str(raised.value)


def test_texts_as_vectors(model: RemoteModel, serve: Callable[..., Server]) -> None:
    vectors = gemini.embed(model, ["one", "two", "three"])
    assert len(vectors) == 3
    assert len({len(vector) for vector in vectors}) == 1
    with pytest.raises(RemoteError, match="1 vectors for 2 texts"):
        gemini.embed(answered(serve, {"embeddings": [{"values": [1.0]}]}), ["one", "two"])


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_goes_in_one_piece_from_the_disk_and_is_removed(
    model: RemoteModel, engine_server: EngineServer, told: Told, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    engine_server.set(processing_polls=2)
    gemini.generate(model, ["before", File(tmp_path / "large", "audio/flac"), "after"])
    ops = [entry["op"] for entry in engine_server.log()]
    assert ops == ["upload_start", "upload_chunk", "file_get", "file_get", "file_get", "generate", "file_delete"]
    (asked,) = engine_server.log("generate")
    (file,) = asked["question"]["files"]
    assert (file["sha256"], file["mime"]) == (hashlib.sha256(LARGE).hexdigest(), "audio/flac")
    assert asked["question"]["texts"] == ["before", "after"]
    assert engine_server.files() == []
    assert [note["name"] for note in told.notes] == [file["name"], file["name"]]
    assert told.journaled == []


def test_the_name_is_journaled_before_anything_is_sent(model: RemoteModel, sound: File) -> None:
    class Full(Exception):
        pass

    def refuse(note: dict[str, Any]) -> None:
        raise Full

    before = context.current()
    context.enter(context.Context(note_remote=refuse))
    try:
        with pytest.raises(Full):
            gemini.generate(model, [sound])
    finally:
        context.enter(before)


def test_what_is_journaled_holds_no_key(model: RemoteModel, told: Told, sound: File) -> None:
    gemini.generate(model, [sound])
    assert GEMINI_KEY not in json.dumps(told.notes)
    assert "a talk of mine" not in json.dumps(told.notes)


@pytest.mark.parametrize(
    ("fault", "error", "left"),
    [
        ({"kind": "503", "op": "upload_start"}, RemoteError, []),
        ({"kind": "hang", "op": "upload_start"}, RemoteError, []),
        ({"kind": "503", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "400", "op": "upload_chunk"}, EngineError, []),
        ({"kind": "cut", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "cut_body", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "malformed", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "hang", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "404", "op": "upload_chunk"}, RemoteError, []),
        ({"kind": "503", "op": "upload_chunk", "late": True}, RemoteError, []),
        ({"kind": "cut", "op": "upload_chunk", "late": True}, RemoteError, []),
        ({"kind": "500", "op": "file_get"}, RemoteError, []),
        ({"kind": "404", "op": "file_get"}, RemoteError, []),
        ({"kind": "file_failed", "op": "upload_start"}, EngineError, []),
        ({"kind": "file_stuck", "op": "upload_start"}, RemoteError, []),
        ({"kind": "503", "op": "generate"}, RemoteError, []),
        ({"kind": "blocked", "op": "generate"}, EngineError, []),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_nothing_is_left_whatever_fails_and_nothing_is_sent_twice(
    model: RemoteModel,
    engine_server: EngineServer,
    told: Told,
    sound: File,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    error: type[Exception],
    left: list[str],
) -> None:
    monkeypatch.setattr(gemini, "PROCESSING_S", 0.2)
    if fault["kind"] == "hang":
        monkeypatch.setattr(wire, "LIMIT_S", 0.3)
    engine_server.set(processing_polls=1, faults=[fault])
    with pytest.raises(error):
        gemini.generate(model, ["What is said?", sound])
    ops = [entry["op"] for entry in engine_server.log()]
    assert ops.count("upload_start") == 1
    assert ops.count("upload_chunk") <= 1
    assert engine_server.files() == []
    assert told.journaled == left


def test_a_file_that_can_not_be_removed_yet_stays_written_down(
    model: RemoteModel, engine_server: EngineServer, told: Told, sound: File
) -> None:
    engine_server.set(faults=[{"kind": "503", "op": "file_delete", "times": 1}])
    assert gemini.generate(model, ["What is said?", sound]).finish == "stop"
    (left,) = engine_server.files()
    assert told.journaled == [left["name"]]
    assert any("could not be removed yet" in line for line in told.lines)

    (note,) = [note for note in told.notes if note["remove"]]
    module, _, function = note["remove"].partition(":")
    assert (module, function) == (gemini.__name__, "remove")
    gemini.remove(note["given"])
    assert engine_server.files() == []
    gemini.remove(note["given"])  # it is gone: that is what was wanted


def test_a_removal_that_is_refused_is_no_removal(
    model: RemoteModel, engine_server: EngineServer, told: Told, sound: File
) -> None:
    given = {"name": "files/nb-x", "model": model.name, "base_url": model.base_url}
    engine_server.set(keys=["another"])
    with pytest.raises(EngineError):
        gemini.remove(given)
    engine_server.set(keys=None, faults=[{"kind": "403", "op": "file_delete"}])
    with pytest.raises(EngineError, match="may not be used"):
        gemini.remove(given)


def test_a_call_that_is_stopped_ends_and_clears_up(
    model: RemoteModel, engine_server: EngineServer, told: Told, sound: File
) -> None:
    engine_server.set(faults=[{"kind": "hang", "op": "generate"}])

    def stop() -> None:
        while not engine_server.log("generate"):
            pass
        told.stopping = True

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Interrupted):
        gemini.generate(model, ["What is said?", sound])
    stopping.join()
    assert engine_server.files() == []
    assert told.journaled == []


def test_an_empty_file_is_refused(model: RemoteModel, engine_server: EngineServer, tmp_path: Path) -> None:
    (tmp_path / "empty.flac").touch()
    with pytest.raises(EngineError, match=r"empty\.flac is empty \(0 bytes\)"):
        gemini.generate(model, [File(tmp_path / "empty.flac", "audio/flac")])
    assert engine_server.log() == []


def test_a_file_that_shrinks_before_it_is_sent(model: RemoteModel, engine_server: EngineServer, sound: File) -> None:
    before = context.current()
    context.enter(context.Context(note_remote=lambda note: sound.path.write_bytes(b"fLaC") and None))
    try:
        with pytest.raises(RemoteError, match="did a file change"):
            gemini.generate(model, [sound])
    finally:
        context.enter(before)
    assert engine_server.files() == []
