"""OpenAI's client against its own endpoints and against servers that know less than those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import OPENAI_KEY, keys, openai_at, send_json
from fakes.running import EngineServer
from loopback import Request, Server, serve

from narrowboat.engines import openai_compatible
from narrowboat.engines.answers import Answer, File
from narrowboat.engines.openai_compatible import chat, embed, transcribe
from narrowboat.engines.remote import RemoteModel, remote_model
from narrowboat.errors import EngineError, RemoteError

__all__ = ["keys", "serve"]
pytestmark = pytest.mark.usefixtures("keys")
LOOSE = {"type": "object", "properties": {"boat": {"type": "string"}}}
STRICT = {**LOOSE, "required": ["boat"], "additionalProperties": False}
PNG = bytes.fromhex("89504e470d0a1a0a") + bytes(50)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_compatible, "_lacking", {})


@pytest.fixture
def model(engine_server: EngineServer) -> RemoteModel:
    return openai_at(engine_server.openai_url)


@pytest.fixture
def whisper(engine_server: EngineServer) -> RemoteModel:
    return openai_at(engine_server.openai_url, "whisper-1")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "a talk of mine.flac"
    path.write_bytes(b"fLaC" + hashlib.shake_256(b"sound").digest(300_000))
    return path


def completion(text: Any = "Boats.", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}], **more}


# -- chat -------------------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer(model: RemoteModel, engine_server: EngineServer) -> None:
    answer = chat(model, ["What", "floats?"], system="Be short.", max_tokens=50, temperature=0)
    assert (answer.text, answer.finish) == ("This is a canned answer.", "stop")
    assert answer.usage["output_tokens"] == 6
    (seen,) = engine_server.log()
    assert seen["question"]["texts"] == ["What\n\nfloats?"]
    assert seen["question"]["system"] == "Be short."
    assert seen["question"]["max_tokens"] == 50
    assert seen["key"] == hashlib.sha256(OPENAI_KEY.encode()).hexdigest()[:16]
    assert not seen["key_in_url"]


def test_pictures_go_along_in_their_place(model: RemoteModel, engine_server: EngineServer, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(PNG)
    chat(model, ["Before", File(tmp_path / "page.png", "image/png"), "after"])
    question = engine_server.log()[0]["question"]
    assert question["texts"] == ["Before", "after"]
    assert [(file["mime"], file["size"]) for file in question["files"]] == [("image/png", len(PNG))]


def test_other_files_do_not(model: RemoteModel, engine_server: EngineServer, sound: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="takes texts and images, not audio/flac"):
        chat(model, [File(sound, "audio/flac")])
    (tmp_path / "huge.png").write_bytes(bytes(9 << 20))
    with pytest.raises(EngineError, match=r"9437184 bytes; at most 8388608"):
        chat(model, [File(tmp_path / "huge.png", "image/png")])
    assert engine_server.log() == []


@pytest.mark.parametrize(("schema", "strict"), [(STRICT, True), (LOOSE, False)])
def test_an_answer_that_follows_a_schema(
    model: RemoteModel, serve: Callable[..., Server], schema: dict[str, Any], strict: bool
) -> None:
    assert "boat" in json.loads(chat(model, ["Which?"], schema=schema).text)
    server = serve(lambda request: send_json(request, completion('```json\n{"boat": "narrow"}\n```')))
    assert chat(openai_at(server.url("")), ["Which?"], schema=schema).text == '{"boat": "narrow"}'
    sent = json.loads(server.requests[0].body)["response_format"]["json_schema"]
    assert (sent["schema"], sent["strict"]) == (schema, strict)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        (LOOSE, False),
        ({**STRICT, "required": []}, False),
        ({"type": "object", "properties": {"all": {"type": "array", "items": STRICT}}, "required": ["all"]}, False),
        ({**STRICT, "properties": {"boat": {"type": "array", "items": LOOSE}}}, False),
        ({**STRICT, "properties": {"boat": {"anyOf": [STRICT, {"type": "null"}]}}}, True),
        ({**STRICT, "properties": {"boat": {"type": "object"}}}, False),
        ({"type": "array", "items": {"type": "string"}}, True),
    ],
)
def test_which_schemas_are_strict(schema: dict[str, Any], strict: bool) -> None:
    assert openai_compatible._is_strict(schema) is strict


class Poor:
    """A server that refuses what it does not know, in its own words."""

    def __init__(self, knows: Callable[[dict[str, Any]], str | None], body: dict[str, Any] | None = None) -> None:
        self.knows, self.asked = knows, []  # type: tuple[Callable[[dict[str, Any]], str | None], list[dict[str, Any]]]
        self.body = completion('{"boat": "narrow"}') if body is None else body

    def __call__(self, request: Request) -> None:
        asked = json.loads(request.body)
        self.asked.append(asked)
        why = self.knows(asked)
        if why is None:
            send_json(request, self.body)
        else:
            send_json(request, {"error": {"message": why, "type": "invalid_request_error"}}, "400 Bad Request")


def no_formats(asked: dict[str, Any]) -> str | None:
    return "response_format is not supported" if "response_format" in asked else None


def objects_alone(asked: dict[str, Any]) -> str | None:
    kind = asked.get("response_format", {}).get("type")
    return "json_schema: only json_object is known here" if kind == "json_schema" else None


@pytest.mark.parametrize(
    ("knows", "kinds"),
    [
        (objects_alone, ["json_schema", "json_schema", "json_object"]),
        (no_formats, ["json_schema", "json_schema", "json_object", None]),
    ],
)
def test_a_server_without_schemas_is_told_in_words(
    serve: Callable[..., Server], knows: Callable[[dict[str, Any]], str | None], kinds: list[str | None]
) -> None:
    poor = Poor(knows)
    model = openai_at(serve(poor).url(""))
    assert chat(model, ["Which?"], system="Be short.", schema=STRICT).text == '{"boat": "narrow"}'
    assert [asked.get("response_format", {}).get("type") for asked in poor.asked] == kinds
    assert "JSON Schema" in poor.asked[-1]["messages"][0]["content"]
    assert "additionalProperties" in poor.asked[-1]["messages"][0]["content"]
    chat(model, ["Which?"], schema=STRICT)
    assert len(poor.asked) == len(kinds) + 1, "what it refused once it is not asked for again"


def test_the_length_of_an_answer_under_either_name(serve: Callable[..., Server]) -> None:
    old = Poor(lambda asked: "unknown field: max_completion_tokens" if "max_completion_tokens" in asked else None)
    chat(openai_at(serve(old).url("")), ["What?"], max_tokens=9)
    assert [asked.get("max_tokens") for asked in old.asked] == [9]
    new = Poor(lambda asked: "Unsupported parameter: 'max_tokens'." if "max_tokens" in asked else None)
    chat(openai_at(serve(new).url("")), ["What?"], max_tokens=9)
    assert new.asked[-1]["max_completion_tokens"] == 9


def test_a_model_of_one_temperature(serve: Callable[..., Server]) -> None:
    poor = Poor(lambda asked: "Unsupported value: 'temperature'" if "temperature" in asked else None)
    chat(openai_at(serve(poor).url("")), ["What?"], temperature=0)
    assert [asked.get("temperature") for asked in poor.asked] == [0, None]


@pytest.mark.parametrize("said", ["the prompt is too long", "response_format is not supported"])
def test_a_server_that_refuses_all_is_told_with_its_first_words(serve: Callable[..., Server], said: str) -> None:
    poor = Poor(lambda asked: f"{said} ({len(poor.asked)})")
    with pytest.raises(EngineError, match=r"\(1\)"):
        chat(openai_at(serve(poor).url("")), ["Which?"], schema=STRICT)


def answered(serve: Callable[..., Server], value: Any) -> Answer:
    return chat(openai_at(serve(lambda request: send_json(request, value)).url("")), ["What floats?"])


@pytest.mark.parametrize("finish", ["stop", None, "eos", "end_turn"])
def test_answers_without_all_that_the_vendor_sends(serve: Callable[..., Server], finish: str | None) -> None:
    answer = answered(serve, completion("Boats.", finish))
    assert answer == Answer("Boats.", "stop", {"input_tokens": None, "output_tokens": None})
    parts = [{"type": "text", "text": "Bo"}, {"type": "text", "text": "ats."}]
    assert answered(serve, completion(parts, finish, usage={"prompt_tokens": 3, "completion_tokens": "x"})) == Answer(
        "Boats.", "stop", {"input_tokens": 3, "output_tokens": None}
    )


def test_an_answer_that_was_cut_off_before_it_began(serve: Callable[..., Server]) -> None:
    assert answered(serve, completion(None, "length")) == Answer(
        "", "length", {"input_tokens": None, "output_tokens": None}
    )


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ([], RemoteError, "it is no object of JSON"),
        ({}, RemoteError, "it has no choices"),
        ({"choices": []}, RemoteError, "it has no choices"),
        ({"choices": [{}]}, RemoteError, "it has no choices"),
        ({"choices": {"a": 1}}, RemoteError, "it has no choices"),
        ({"error": {"message": "model is loading"}}, RemoteError, "it is an error: model is loading"),
        (completion("  "), EngineError, "empty answer"),
        (completion(7), EngineError, "empty answer"),
        (completion("part", "content_filter"), EngineError, "blocked the answer"),
    ],
)
def test_answers_that_are_none(serve: Callable[..., Server], value: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        answered(serve, value)


def test_a_server_that_wants_no_key(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server = serve(lambda request: send_json(request, completion()))
    assert chat(openai_at(server.url("")), ["What?"]).text == "Boats."
    assert server.requests[0].headers["authorization"] == "Bearer none"


def test_the_address_of_the_environment(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda request: send_json(request, completion()))
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("/v1/"))
    model = remote_model("openai:gpt-4o-mini")
    assert model is not None
    assert chat(model, ["What?"]).text == "Boats."
    assert server.requests[0].path == "/v1/chat/completions"


# -- transcriptions ---------------------------------------------------------------------------------------------------


def test_a_file_is_sent_as_it_is_without_its_name(
    whisper: RemoteModel, engine_server: EngineServer, sound: Path
) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"], "language": "en"}
    found = transcribe(whisper, sound, fields=fields)
    assert found["text"] == "This is a canned answer."
    assert found["segments"] and found["words"]
    (seen,) = engine_server.log()
    (file,) = seen["question"]["files"]
    assert file["sha256"] == hashlib.sha256(sound.read_bytes()).hexdigest()
    assert "a talk of mine" not in json.dumps(seen)


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt"])
def test_what_is_no_json_is_text(whisper: RemoteModel, sound: Path, form: str) -> None:
    assert "This is a canned answer." in transcribe(whisper, sound, fields={"response_format": form})["text"]


def test_speakers(engine_server: EngineServer, sound: Path) -> None:
    model = openai_at(engine_server.openai_url, "gpt-4o-transcribe-diarize")
    found = transcribe(model, sound, fields={"response_format": "diarized_json", "chunking_strategy": "auto"})
    assert all("speaker" in segment for segment in found["segments"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>hello</html>", "a page for people"),
        (b'{"answer": 5}', "neither text nor segments"),
        (b'{"text": ', "it is no JSON"),
    ],
)
def test_transcriptions_that_are_none(serve: Callable[..., Server], sound: Path, body: bytes, said: str) -> None:
    server = serve(lambda request: request.send("200 OK", body, Connection="close"))
    with pytest.raises(RemoteError, match=said):
        transcribe(openai_at(server.url("")), sound, fields={})


def test_a_format_that_is_not_known_is_told_with_its_status(engine_server: EngineServer, sound: Path) -> None:
    with pytest.raises(EngineError, match="verbose_json") as raised:
        transcribe(openai_at(engine_server.openai_url), sound, fields={"response_format": "verbose_json"})
    assert raised.value.facts["status"] == 400


def test_an_empty_file_is_refused(whisper: RemoteModel, engine_server: EngineServer, tmp_path: Path) -> None:
    (tmp_path / "empty.flac").touch()
    with pytest.raises(EngineError, match=r"empty\.flac is empty"):
        transcribe(whisper, tmp_path / "empty.flac", fields={})
    assert engine_server.log() == []


# -- vectors ----------------------------------------------------------------------------------------------------------


def test_texts_as_vectors(engine_server: EngineServer) -> None:
    vectors = embed(openai_at(engine_server.openai_url, "text-embedding-3-small"), ["one", "two", "three"])
    assert len(vectors) == 3
    assert len({len(vector) for vector in vectors}) == 1


def test_vectors_come_in_the_order_of_their_texts(serve: Callable[..., Server]) -> None:
    rows = [{"index": 1, "embedding": [1, 1]}, {"index": 0, "embedding": [0.5, 0]}]
    server = serve(lambda request: send_json(request, {"data": rows}))
    assert embed(openai_at(server.url("")), ["one", "two"]) == [[0.5, 0.0], [1.0, 1.0]]
    with pytest.raises(RemoteError, match="2 vectors for 3 texts"):
        embed(openai_at(server.url("")), ["one", "two", "three"])
