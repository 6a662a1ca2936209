"""The fake of OpenAI, driven by its client as it is: what the vendor's client understands is what the fake says."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.running import EngineServer

openai = pytest.importorskip("openai")

KEY = "sk-a-key-of-the-tests-0123456789"
MODEL = "gpt-4o-mini"
MIB = 1 << 20


@pytest.fixture
def client(engine_server: EngineServer) -> Iterator[Any]:
    with openai.OpenAI(api_key=KEY, base_url=engine_server.openai_url, max_retries=0, timeout=20) as client:
        yield client


def _ask(client: Any, content: Any = "What floats?", **fields: Any) -> Any:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": content}]
    return client.chat.completions.create(model=MODEL, messages=messages, **fields)


def test_an_answer_in_words(client: Any, engine_server: EngineServer) -> None:
    answer = _ask(client, temperature=0)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("This is a canned answer.", "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6
    (seen,) = engine_server.log("chat")
    assert (seen["question"]["system"], seen["question"]["texts"]) == ("Be short.", ["What floats?"])
    assert KEY not in json.dumps(engine_server.log())


def test_pictures_and_schemas(client: Any, engine_server: EngineServer) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"a picture").decode()
    schema = {"type": "object", "properties": {"pages": {"type": "array", "items": {"type": "integer"}}}}
    shape = {"type": "json_schema", "json_schema": {"name": "pages", "schema": schema}}
    content = [{"type": "text", "text": "Which pages?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = _ask(client, content, response_format=shape)
    assert json.loads(answer.choices[0].message.content) == {"pages": [0]}
    (picture,) = engine_server.log("chat")[0]["question"]["files"]
    assert (picture["mime"], picture["sha256"]) == ("image/png", hashlib.sha256(b"a picture").hexdigest())


def test_a_stream(client: Any, engine_server: EngineServer) -> None:
    text = "Down the canal went a narrow boat, and nobody on the towpath knew how long it was. " * 3
    engine_server.set(answer={"text": text})
    events = list(_ask(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(event.choices[0].delta.content or "" for event in events if event.choices) == text
    assert events[-1].usage.completion_tokens > 0


def test_answers_that_end_otherwise(client: Any, engine_server: EngineServer) -> None:
    engine_server.set(faults=["truncated", "safety", "empty", "blocked"])
    ends = [(one.finish_reason, one.message.content) for one in (_ask(client).choices[0] for _ in range(4))]
    half = "This is a ca"
    assert ends == [("length", half), ("content_filter", half), ("stop", None), ("content_filter", None)]
    limited = _ask(client, max_completion_tokens=2).choices[0]
    assert (limited.finish_reason, limited.message.content) == ("length", "This is ")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("400", "BadRequestError"),
        ("401", "AuthenticationError"),
        ("403", "PermissionDeniedError"),
        ("404", "NotFoundError"),
        ("429", "RateLimitError"),
        ("500", "InternalServerError"),
        ("503", "InternalServerError"),
        ("page", "InternalServerError"),
    ],
)
def test_refusals(client: Any, engine_server: EngineServer, code: str, kind: str) -> None:
    engine_server.set(faults=[code])
    with pytest.raises(getattr(openai, kind)):
        _ask(client)
    assert _ask(client).choices


def test_a_quota_says_when_to_come_back(client: Any, engine_server: EngineServer) -> None:
    engine_server.set(quota=1)
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": "x"}])
    assert raw.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        _ask(client)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    assert caught.value.code == "rate_limit_exceeded"


def test_the_client_itself_comes_back(engine_server: EngineServer) -> None:
    engine_server.set(faults=[{"kind": "429", "nth": 1, "wait_s": 0.01}, {"kind": "500", "nth": 2}])
    with openai.OpenAI(api_key=KEY, base_url=engine_server.openai_url, max_retries=2) as client:
        assert _ask(client).choices
    assert [entry["status"] for entry in engine_server.log("chat")] == [429, 500, 200]


def test_no_credit_is_for_good(client: Any, engine_server: EngineServer) -> None:
    engine_server.set(faults=["quota_of_the_day"])
    with pytest.raises(openai.RateLimitError) as caught:
        _ask(client)
    assert caught.value.code == "insufficient_quota"
    assert "retry-after" not in caught.value.response.headers


def test_keys_and_models_that_are_not_good(client: Any, engine_server: EngineServer) -> None:
    engine_server.set(keys=["another"], models=["gpt-4o"])
    with pytest.raises(openai.AuthenticationError) as caught:
        _ask(client)
    assert caught.value.code == "invalid_api_key"
    engine_server.set(keys=[KEY])
    with pytest.raises(openai.NotFoundError) as caught:
        _ask(client)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("kind", ["cut", "cut_headers", "cut_body"])
def test_connections_that_break(client: Any, engine_server: EngineServer, kind: str) -> None:
    engine_server.set(faults=[kind])
    with pytest.raises(openai.APIConnectionError):
        _ask(client)
    assert _ask(client).choices


@pytest.mark.parametrize("kind", ["hang", "hang_body"])
def test_answers_that_never_come(client: Any, engine_server: EngineServer, kind: str) -> None:
    engine_server.set(faults=[kind])
    with pytest.raises(openai.APITimeoutError):
        _ask(client, timeout=0.2)


def test_an_answer_that_drips(client: Any, engine_server: EngineServer) -> None:
    engine_server.set(faults=[{"kind": "drip", "drip_s": 0.0005}])
    assert _ask(client).choices[0].message.content == "This is a canned answer."


# -- speech -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.flac"
    path.write_bytes(b"fLaC" + hashlib.shake_256(b"sound").digest(300_000))
    return path


def _hear(client: Any, talk: Path, **fields: Any) -> Any:
    return client.audio.transcriptions.create(model=fields.pop("model", "whisper-1"), file=talk, **fields)


def test_speech_in_all_shapes(client: Any, engine_server: EngineServer, talk: Path) -> None:
    assert _hear(client, talk, prompt="About boats.", language="en").text == "This is a canned answer."
    (seen,) = engine_server.log("transcribe")
    assert seen["question"]["files"][0]["sha256"] == hashlib.sha256(talk.read_bytes()).hexdigest()
    assert seen["question"]["fields"]["language"] == "en"
    assert _hear(client, talk, response_format="text") == "This is a canned answer.\n"
    assert _hear(client, talk, response_format="srt").startswith("1\n00:00:00,000 --> 00:00:04,000\nThis")
    assert _hear(client, talk, response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_speech_with_times(client: Any, talk: Path) -> None:
    plain = _hear(client, talk, response_format="verbose_json")
    assert ([one.text.strip() for one in plain.segments], plain.words) == (["This is a canned answer."], None)
    both = ["word", "segment"]
    timed = _hear(client, talk, response_format="verbose_json", timestamp_granularities=both)
    assert [word.word for word in timed.words] == ["This", "is", "a", "canned", "answer."]
    assert timed.words[-1].end == timed.duration == timed.segments[-1].end
    said = _hear(client, talk, model="gpt-4o-transcribe-diarize", response_format="diarized_json")
    assert said.segments[0].speaker


def test_speech_as_a_stream(client: Any, talk: Path) -> None:
    events = list(_hear(client, talk, model="gpt-4o-transcribe", response_format="json", stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[-1].text == "This is a canned answer."


def test_what_speech_models_refuse(client: Any, talk: Path, tmp_path: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="not compatible"):
        _hear(client, talk, model="gpt-4o-transcribe", response_format="verbose_json")
    with pytest.raises(openai.BadRequestError, match="Invalid file format"):
        _hear(client, talk.rename(tmp_path / "talk.xyz"))
    large = tmp_path / "large.flac"
    with large.open("wb") as out:
        out.truncate(27 * MIB)
    with pytest.raises(openai.APIStatusError) as caught:
        _hear(client, large)
    assert caught.value.status_code == 413


def test_embeddings_and_models(client: Any) -> None:
    made = client.embeddings.create(model="text-embedding-3-small", input=["a boat", "a boot"], dimensions=64)
    assert [len(one.embedding) for one in made.data] == [64, 64]
    assert sum(value * value for value in made.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve("whisper-1").id == "whisper-1"
