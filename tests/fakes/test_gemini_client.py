"""The fake of Gemini, driven by google-genai as it is: what the vendor's client understands is what the fake says."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.running import EngineServer

genai = pytest.importorskip("google.genai")

from google.genai import errors, types  # noqa: E402

KEY = "AIza-a-key-of-the-tests"
MODEL = "gemini-2.5-flash"
MIB = 1 << 20


@pytest.fixture(params=["v1beta", "v1"])
def client(request: pytest.FixtureRequest, engine_server: EngineServer) -> Iterator[Any]:
    options = types.HttpOptions(base_url=engine_server.url, api_version=request.param, timeout=20_000)
    with genai.Client(api_key=KEY, http_options=options) as client:
        yield client


@pytest.fixture
def one(engine_server: EngineServer) -> Iterator[Any]:
    """A client of one version, for what does not depend on it."""
    options = types.HttpOptions(base_url=engine_server.url, api_version="v1beta", timeout=20_000)
    with genai.Client(api_key=KEY, http_options=options) as client:
        yield client


def _bytes(count: int) -> bytes:
    return hashlib.shake_256(b"some bytes").digest(count)


def test_an_answer_in_words(client: Any, engine_server: EngineServer) -> None:
    config = types.GenerateContentConfig(system_instruction="Be short.", temperature=0)
    answer = client.models.generate_content(model=MODEL, contents="What floats?", config=config)
    assert answer.text == "This is a canned answer."
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.total_token_count == answer.usage_metadata.prompt_token_count + 6
    (seen,) = engine_server.log("generate")
    assert seen["question"]["system"] == "Be short."
    assert seen["question"]["texts"] == ["What floats?"]
    assert not seen["key_in_url"]
    assert KEY not in str(engine_server.log())


def test_a_file_in_chunks(client: Any, engine_server: EngineServer, tmp_path: Path) -> None:
    engine_server.set(processing_polls=2)
    path, content = tmp_path / "talk.flac", _bytes(17 * MIB + 5)
    path.write_bytes(content)
    config = types.UploadFileConfig(name="talk-1", mime_type="audio/flac", display_name="a talk")
    file = client.files.upload(file=path, config=config)
    assert [entry["status"] for entry in engine_server.log("upload_chunk")] == [200, 200, 200]
    states = [client.files.get(name=file.name).state.name for _ in range(3)]
    assert states == ["PROCESSING", "PROCESSING", "ACTIVE"]
    answer = client.models.generate_content(model=MODEL, contents=["What is said?", file])
    assert answer.text
    (asked,) = engine_server.log("generate")[0]["question"]["files"]
    assert (asked["sha256"], asked["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (file.name, file.size_bytes, file.display_name) == ("files/talk-1", len(content), "a talk")
    client.files.delete(name=file.name)
    assert engine_server.files() == []


def test_a_file_from_memory_under_a_name_of_the_server(one: Any, engine_server: EngineServer) -> None:
    file = one.files.upload(file=io.BytesIO(b"words"), config={"mime_type": "text/plain"})
    (stored,) = engine_server.files()
    assert (stored["name"], stored["size"]) == (file.name, 5)


def test_the_list_has_pages(one: Any) -> None:
    for number in range(5):
        one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain", "name": f"n{number}"})
    pager = one.files.list(config={"page_size": 2})
    assert len(pager.page) == 2
    assert [file.name for file in pager] == [f"files/n{number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(("name", "code"), [("twice", 409), ("Capitals", 400), ("-dash", 400), ("x" * 41, 400)])
def test_names_that_are_not_free(one: Any, name: str, code: int) -> None:
    one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain", "name": "twice"})
    with pytest.raises(errors.ClientError) as caught:
        one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain", "name": name})
    assert caught.value.code == code


def test_files_of_others_and_old_ones_are_not_there(one: Any, engine_server: EngineServer) -> None:
    file = one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"})
    options = types.HttpOptions(base_url=engine_server.url, api_version="v1beta")
    with genai.Client(api_key="another", http_options=options) as other, pytest.raises(errors.ClientError) as caught:
        other.files.get(name=file.name)
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")
    engine_server.set(clock_s=48 * 3600 + 1)
    with pytest.raises(errors.ClientError):
        one.files.get(name=file.name)
    assert engine_server.files() == []


def test_a_file_that_is_not_ready_is_refused(one: Any, engine_server: EngineServer) -> None:
    engine_server.set(processing_polls=1)
    file = one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"})
    with pytest.raises(errors.ClientError) as caught:
        one.models.generate_content(model=MODEL, contents=[file])
    assert caught.value.status == "FAILED_PRECONDITION"


def test_files_that_fail_or_are_never_ready(one: Any, engine_server: EngineServer) -> None:
    faults = [{"kind": "file_failed", "op": "upload_start", "nth": 1}]
    engine_server.set(faults=[*faults, {"kind": "file_stuck", "op": "upload_start", "nth": 2}])
    failed, stuck = (one.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"}) for _ in range(2))
    assert failed.state.name == "FAILED"
    assert failed.error.message
    assert {one.files.get(name=stuck.name).state.name for _ in range(9)} == {"PROCESSING"}


def test_a_chunk_that_fails_once_is_sent_again(one: Any, engine_server: EngineServer) -> None:
    engine_server.set(faults=[{"kind": "503", "op": "upload_chunk", "nth": 2}])
    content = _bytes(9 * MIB)
    one.files.upload(file=io.BytesIO(content), config={"mime_type": "audio/flac"})
    assert engine_server.files()[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert [entry["status"] for entry in engine_server.log("upload_chunk")] == [200, 503, 200]


def test_inline_data_and_schemas(one: Any, engine_server: EngineServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "who": {"type": "string"}}}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    part = types.Part.from_bytes(data=b"RIFF", mime_type="audio/wav")
    answer = one.models.generate_content(model=MODEL, contents=[part, "Count."], config=config)
    assert answer.parsed == {"n": 0, "who": "canned"}
    (seen,) = engine_server.log("generate")
    assert seen["question"]["files"][0]["sha256"] == hashlib.sha256(b"RIFF").hexdigest()
    assert seen["question"]["schema"] == schema


def test_a_schema_from_classes(one: Any) -> None:
    config = {"response_mime_type": "application/json", "response_schema": list[str]}
    assert one.models.generate_content(model=MODEL, contents="x", config=config).parsed == ["canned"]


def test_a_stream(client: Any, engine_server: EngineServer) -> None:
    text = "Down the canal went a narrow boat, and nobody on the towpath knew how long it was. " * 3
    engine_server.set(answer={"text": text})
    pieces = list(client.models.generate_content_stream(model=MODEL, contents="Tell me."))
    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == text
    assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP


@pytest.mark.parametrize(
    ("kind", "reason", "text"),
    [
        ("truncated", "MAX_TOKENS", "This is a ca"),
        ("cut_json", "STOP", "This is a ca"),
        ("safety", "SAFETY", "This is a ca"),
        ("recitation", "RECITATION", "This is a ca"),
        ("empty", "STOP", None),
    ],
)
def test_answers_that_end_otherwise(one: Any, engine_server: EngineServer, kind: str, reason: str, text: str) -> None:
    engine_server.set(faults=[kind])
    answer = one.models.generate_content(model=MODEL, contents="x")
    assert (answer.candidates[0].finish_reason.name, answer.text) == (reason, text)


def test_blocked_and_nothing(one: Any, engine_server: EngineServer) -> None:
    engine_server.set(faults=["blocked", "nothing"])
    blocked = one.models.generate_content(model=MODEL, contents="x")
    assert blocked.text is None
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    assert one.models.generate_content(model=MODEL, contents="x").candidates is None


def test_the_limit_of_the_answer(one: Any) -> None:
    config = types.GenerateContentConfig(max_output_tokens=2)
    answer = one.models.generate_content(model=MODEL, contents="x", config=config)
    assert (answer.text, answer.candidates[0].finish_reason.name) == ("This is ", "MAX_TOKENS")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (400, "INVALID_ARGUMENT", errors.ClientError),
        (401, "UNAUTHENTICATED", errors.ClientError),
        (403, "PERMISSION_DENIED", errors.ClientError),
        (404, "NOT_FOUND", errors.ClientError),
        (429, "RESOURCE_EXHAUSTED", errors.ClientError),
        (500, "INTERNAL", errors.ServerError),
        (503, "UNAVAILABLE", errors.ServerError),
        (504, "DEADLINE_EXCEEDED", errors.ServerError),
    ],
)
def test_refusals(one: Any, engine_server: EngineServer, code: int, status: str, kind: type[Exception]) -> None:
    engine_server.set(faults=[str(code)])
    with pytest.raises(kind) as caught:
        one.models.generate_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.status) == (code, status)  # type: ignore[attr-defined]


def test_a_quota_says_when_to_come_back(one: Any, engine_server: EngineServer) -> None:
    engine_server.set(quota=2)
    for _ in range(2):
        one.models.generate_content(model=MODEL, contents="x")
    with pytest.raises(errors.ClientError) as caught:
        one.models.generate_content(model=MODEL, contents="x")
    details = {one["@type"].rpartition(".")[2]: one for one in caught.value.details["error"]["details"]}
    assert 0 < float(details["RetryInfo"]["retryDelay"].removesuffix("s")) <= 60
    (violation,) = details["QuotaFailure"]["violations"]
    assert (violation["quotaValue"], violation["quotaDimensions"]["model"]) == ("2", MODEL)
    engine_server.set(clock_s=61)
    assert one.models.generate_content(model=MODEL, contents="x").text


def test_keys_and_models_that_are_not_good(one: Any, engine_server: EngineServer) -> None:
    engine_server.set(keys=["another"])
    with pytest.raises(errors.ClientError) as caught:
        one.models.generate_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.details["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    engine_server.set(keys=None, models=["gemini-2.5-pro"])
    with pytest.raises(errors.ClientError) as caught:
        one.models.generate_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("kind", ["cut", "cut_headers", "cut_body", "malformed", "page"])
def test_answers_that_break(one: Any, engine_server: EngineServer, kind: str) -> None:
    engine_server.set(faults=[kind])
    with pytest.raises(Exception):  # noqa: B017 (which one differs with the client's transport)
        one.models.generate_content(model=MODEL, contents="x")
    assert one.models.generate_content(model=MODEL, contents="x").text


@pytest.mark.parametrize("kind", ["hang", "hang_body"])
def test_answers_that_never_come(engine_server: EngineServer, kind: str) -> None:
    engine_server.set(faults=[kind])
    options = types.HttpOptions(base_url=engine_server.url, api_version="v1beta", timeout=200)
    with genai.Client(api_key=KEY, http_options=options) as client, pytest.raises(Exception, match=r"timed out"):
        client.models.generate_content(model=MODEL, contents="x")


def test_tokens_embeddings_and_models(client: Any) -> None:
    assert client.models.count_tokens(model=MODEL, contents="four and more").total_tokens == 4
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    assert f"models/{MODEL}" in [model.name for model in client.models.list()]
    texts, config = ["a narrow boat", "a wide boat", "no"], types.EmbedContentConfig(output_dimensionality=64)
    made = client.models.embed_content(model="gemini-embedding-001", contents=texts, config=config).embeddings
    first, second, third = (one.values for one in made)
    assert len(first) == 64
    assert sum(a * b for a, b in zip(first, second, strict=True)) > sum(
        a * b for a, b in zip(first, third, strict=True)
    )
