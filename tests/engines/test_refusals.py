"""What refusals and failures of remote engines become, both vendors', and that no key is ever told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from asking import GEMINI_KEY, OPENAI_KEY, Told, gemini_at, keys, openai_at, told
from fakes.running import EngineServer
from loopback import Request, Server, serve

from narrowboat.engines import gemini, openai_compatible, wire
from narrowboat.engines.answers import Answer
from narrowboat.engines.refusals import MOST_WAIT_S, cleaned
from narrowboat.errors import EngineError, NarrowboatError, RemoteError

__all__ = ["keys", "serve", "told"]
pytestmark = pytest.mark.usefixtures("keys")
Ask = Callable[[], Answer]


@pytest.fixture(params=["gemini", "openai"])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asking(vendor: str, url: str) -> Ask:
    """A question to a server at ``url``."""
    if vendor == "gemini":
        return lambda: gemini.generate(gemini_at(url), ["What floats?"])
    return lambda: openai_compatible.chat(openai_at(f"{url}/v1"), ["What floats?"])


@pytest.fixture
def ask(vendor: str, engine_server: EngineServer) -> Ask:
    return asking(vendor, engine_server.url)


@pytest.mark.parametrize(
    ("kind", "error", "said", "facts"),
    [
        ("400", EngineError, "will not do it (400)", {"status": 400}),
        ("401", EngineError, "does not know the key (401)", {"status": 401}),
        ("402", EngineError, "nothing left (402)", {"status": 402}),
        ("403", EngineError, "may not be used (403)", {"status": 403}),
        ("404", EngineError, "there is no", {"status": 404}),
        ("413", EngineError, "takes no question of this size (413)", {"status": 413}),
        ("501", EngineError, "will not do it (501)", {"status": 501}),
        ("408", RemoteError, "can't answer now (408)", {"status": 408, "quota": False}),
        ("429", RemoteError, "the rate or the quota", {"status": 429, "wait_s": 7.0, "quota": True}),
        ("500", RemoteError, "can't answer now (500)", {"status": 500, "quota": False}),
        ("503", RemoteError, "can't answer now (503)", {"status": 503, "wait_s": 7.0, "quota": False}),
        ("529", RemoteError, "can't answer now (529)", {"status": 529}),
        ("page", RemoteError, "can't answer now (502)", {"status": 502}),
        ("malformed", RemoteError, "makes no sense: it is no JSON", {"status": None}),
        ("nothing", RemoteError, "makes no sense", {"status": None}),
        ("cut", RemoteError, "broke off the connection", {"quota": False}),
        ("cut_headers", RemoteError, "broke off the connection", {"quota": False}),
        ("cut_body", RemoteError, "broke off the connection", {"quota": False}),
        ("blocked", EngineError, "blocked", {}),
        ("safety", EngineError, "blocked the answer", {}),
        ("recitation", EngineError, "blocked the answer", {}),
        ("empty", EngineError, "gave an empty answer", {"reason": "empty"}),
    ],
)
def test_each_fault_is_told_for_what_it_is(
    ask: Ask, engine_server: EngineServer, kind: str, error: type[NarrowboatError], said: str, facts: dict[str, Any]
) -> None:
    engine_server.set(faults=[{"kind": kind, "wait_s": 7}])
    with pytest.raises(error) as raised:
        ask()
    assert said in raised.value.message
    assert "<" not in raised.value.message
    assert raised.value.facts | facts == raised.value.facts
    assert len([entry for entry in engine_server.log() if entry["op"] in ("generate", "chat")]) == 1


@pytest.mark.parametrize("kind", ["hang", "hang_body", "drip"])
def test_a_server_that_does_not_end_is_given_up(
    ask: Ask, engine_server: EngineServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(wire, "LIMIT_S", 0.3)
    engine_server.set(faults=[{"kind": kind}])
    with pytest.raises(RemoteError, match="gave no answer within"):
        ask()


def test_a_cut_answer_is_an_answer(ask: Ask, engine_server: EngineServer) -> None:
    engine_server.set(faults=["truncated"])
    answer = ask()
    assert answer.finish == "length"
    assert answer.text


def test_the_quota_of_a_day_and_an_empty_account(engine_server: EngineServer) -> None:
    engine_server.set(faults=[{"kind": "quota_of_the_day", "wait_s": 7}])
    with pytest.raises(RemoteError, match="the rate or the quota"):
        asking("gemini", engine_server.url)()
    with pytest.raises(EngineError, match="nothing left"):
        asking("openai", engine_server.url)()


def test_a_server_that_is_not_there(vendor: str, serve: Callable[..., Server]) -> None:
    server = serve(lambda request: None)
    server.close()
    with pytest.raises(RemoteError, match=r"can't be reached: Connection refused"):
        asking(vendor, server.url(""))()


def test_a_wait_of_days_is_asked_about_sooner(vendor: str, serve: Callable[..., Server]) -> None:
    server = serve(lambda request: request.send("429 Slow", Retry_After="999999", Connection="close"))
    with pytest.raises(RemoteError) as raised:
        asking(vendor, server.url(""))()
    assert raised.value.facts["wait_s"] == MOST_WAIT_S


def test_milliseconds_are_read(serve: Callable[..., Server]) -> None:
    server = serve(lambda request: request.send("429 Slow", Retry_After_Ms="1500", Connection="close"))
    with pytest.raises(RemoteError) as raised:
        asking("openai", server.url(""))()
    assert raised.value.facts["wait_s"] == 1.5


# -- keys -------------------------------------------------------------------------------------------------------------


ECHOES = {
    "json": lambda key: json.dumps({"error": {"code": 400, "message": f"Bad key {key}.", "status": key, "type": key}}),
    "google": lambda key: json.dumps({"error": {"message": "no", "details": [{"@type": "x", "reason": key}]}}),
    "text": lambda key: f"you sent {key}",
    "detail": lambda key: json.dumps({"detail": [{"msg": key, "loc": ["header"]}]}),
    "string": lambda key: json.dumps({"error": f"denied: {key}"}),
    "page": lambda key: f"<html>{key}</html>",
    "masked": lambda key: json.dumps({"error": {"message": f"Incorrect API key provided: {key[:14]}****{key[-8:]}"}}),
    "encoded": lambda key: json.dumps({"error": {"message": f"at ?key={quote(key)} or {_base64(key)}"}}),
    "list": lambda key: json.dumps([{"error": {"message": key}}]),
}


def _base64(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


STATUSES = ["200 OK", "307 Moved", "400 Bad", "401 No", "403 No", "404 No", "429 Slow", "500 Oh"]


def test_a_server_that_echoes_the_key_is_not_believed(vendor: str, serve: Callable[..., Server], told: Told) -> None:
    tries = iter([(status, shape) for status in STATUSES for shape in ECHOES])

    def echo(request: Request) -> None:
        key = request.headers.get("x-goog-api-key") or request.headers["authorization"].removeprefix("Bearer ")
        assert key in (GEMINI_KEY, OPENAI_KEY)
        status, shape = next(tries)
        body = ECHOES[shape](key).encode()
        request.send(status, body, Location=f"http://127.0.0.1:1/?key={key}", X_Key=key, Connection="close")

    ask = asking(vendor, serve(echo).url(""))
    for _ in range(len(STATUSES) * len(ECHOES)):
        with pytest.raises(NarrowboatError) as raised:
            ask()
        shown = json.dumps(raised.value.to_json()) + str(told.lines)
        for key in (GEMINI_KEY, OPENAI_KEY):
            pieces = {key[at : at + 8] for at in range(len(key) - 7)}
            assert not any(piece in shown for piece in pieces)
            assert _base64(key) not in shown
    assert next(tries, None) is None


def test_an_answer_that_is_the_key_is_not_passed_on(serve: Callable[..., Server]) -> None:
    candidate = {"content": {"parts": [{"text": f"It is {GEMINI_KEY}."}]}, "finishReason": "STOP"}
    server = serve(lambda r: r.send("200 OK", json.dumps({"candidates": [candidate]}).encode(), Connection="close"))
    assert asking("gemini", server.url(""))().text == "It is …."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a line\nand\x00 another", "a line and another"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer …"),
        ("see https://host/x?key=hunter22&alt=json", "see https://host/x?key=…&alt=json"),
        ("Incorrect API key provided: sk-abc*****xyz.", "Incorrect API key provided: sk-…"),
        ("the key is short", "the key is short"),
        ("<html><body>no</body></html>", ""),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_a_servers_words_are_cleaned(text: str, left: str) -> None:
    assert cleaned(text, "a-key-that-is-not-in-there") == left


def test_a_short_key_goes_too() -> None:
    assert cleaned("the key is abc, and abcd", "abc") == "the key is …, and …d"
