"""HTTP for the clients of remote engines: waits that end and can be stopped, what is not taken, where a key may go."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from asking import OPENAI_KEY, Told, gemini_at, keys, openai_at, send_json, told
from loopback import Request, Server, serve

from narrowboat import config
from narrowboat.engines import wire
from narrowboat.engines.gemini import generate
from narrowboat.engines.openai_compatible import chat, transcribe
from narrowboat.errors import EngineError, Interrupted, RemoteError

__all__ = ["keys", "serve", "told"]
pytestmark = pytest.mark.usefixtures("keys")
COMPLETION = {"choices": [{"message": {"content": "Boats."}, "finish_reason": "stop"}]}


def test_a_wait_ends_when_its_time_is_over() -> None:
    with pytest.raises(wire.OutOfTime), wire.limited(0.05):
        wire.pause(30)
    wire.pause(0)  # and outside there is no limit


def test_a_wait_inside_another_ends_with_the_shorter_one() -> None:
    with wire.limited(30), pytest.raises(wire.OutOfTime), wire.limited(0.05):
        wire.pause(30)


def test_a_wait_ends_when_the_step_is_stopped(told: Told) -> None:
    told.stopping = True
    with pytest.raises(Interrupted), wire.limited(30):
        wire.pause(30)
    with wire.limited(30, stoppable=False):
        wire.pause(0.01)


@pytest.mark.parametrize("after_head", [False, True])
def test_who_waits_for_an_answer_can_be_stopped(serve: Callable[..., Server], told: Told, after_head: bool) -> None:
    def stop(request: Request) -> None:
        if after_head:
            request.send("200 OK", b"", Content_Length=100)
        told.stopping = True
        request.hang()

    model = openai_at(serve(stop).url(""))
    with pytest.raises(Interrupted):
        chat(model, ["What floats?"])


def test_threads_have_limits_of_their_own() -> None:
    seen: list[float] = []
    with wire.limited(30):
        thread = threading.Thread(target=lambda: seen.append(wire.look()))
        thread.start()
        thread.join()
    assert seen == [float("inf")]


def test_an_answer_without_end_is_not_taken(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)
    server = serve(lambda request: request.send("200 OK", b" " * (2 << 20), Connection="close"))
    for ask in (lambda: chat(openai_at(server.url("")), ["?"]), lambda: generate(gemini_at(server.url("")), ["?"])):
        with pytest.raises(RemoteError, match="more than 1 MiB"):
            ask()


def test_an_answer_that_would_unfold_is_not_taken(serve: Callable[..., Server]) -> None:
    bomb = gzip.compress(bytes(10 << 20))
    server = serve(lambda request: request.send("200 OK", bomb, Content_Encoding="gzip", Connection="close"))
    with pytest.raises(RemoteError, match="compressed"):
        chat(openai_at(server.url("")), ["?"])
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_key_does_not_follow_a_redirect(serve: Callable[..., Server], tmp_path: Path) -> None:
    elsewhere = serve(lambda request: send_json(request, COMPLETION))
    server = serve(lambda r: r.send("307 Moved", Location=elsewhere.url("/v1"), Connection="close"))
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    for ask in (
        lambda: generate(gemini_at(server.url("")), ["?"]),
        lambda: chat(openai_at(server.url("")), ["?"]),
        lambda: transcribe(openai_at(server.url("")), tmp_path / "a.flac", fields={}),
    ):
        with pytest.raises(EngineError, match="is somewhere else"):
            ask()
    assert elsewhere.requests == []


# -- proxies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_which_proxy_an_address_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.proxy_for("https://host.example/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,inner.example")
    assert config.proxy_for("https://host.example/v1") == "http://proxy.example:3128"
    assert config.proxy_for("http://host.example/v1") is None
    assert config.proxy_for("https://inner.example/v1") is None
    monkeypatch.setenv("ALL_PROXY", "http://other.example:3128")
    assert config.proxy_for("http://host.example/v1") == "http://other.example:3128"
    assert config.proxy_for("http://127.0.0.1:8000/v1") is None


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_is_asked(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda request: send_json(request, COMPLETION))
    monkeypatch.setenv("http_proxy", proxy.url("").replace("://", "://me:secret%21@"))
    assert chat(openai_at("http://host.invalid/v1"), ["?"]).text == "Boats."
    (asked,) = proxy.requests
    assert asked.path == "http://host.invalid/v1/chat/completions"
    assert asked.headers["proxy-authorization"] == httpx2.BasicAuth("me", "secret!")._auth_header
    assert asked.headers["authorization"] == f"Bearer {OPENAI_KEY}"


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_that_is_not_there_shows_no_password(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(lambda request: None)
    proxy.close()
    monkeypatch.setenv("http_proxy", proxy.url("").replace("://", "://me:hunter22@"))
    with pytest.raises(RemoteError, match="can't be reached") as raised:
        chat(openai_at("http://other.invalid/v1"), ["?"])
    assert "hunter22" not in str(raised.value.to_json())
