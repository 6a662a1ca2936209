"""Names, addresses and keys of remote engines: what is taken, what is refused, and what is never shown."""

from __future__ import annotations

from typing import Any

import pytest

from narrowboat.engines.remote import RemoteModel, address_of, client_of, key_of, remote_model
from narrowboat.errors import UsageError

KEY = "sk-planted-8a5b1c3e"
VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def model(text: str) -> RemoteModel:
    found = remote_model(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "name", "of_server", "url"),
    [
        ("gemini:gemini-2.5-flash", None, "gemini-2.5-flash", None),
        (" gemini:models/gemini-2.5-flash ", "gemini:gemini-2.5-flash", "gemini-2.5-flash", None),
        ("openai:whisper-1", None, "whisper-1", None),
        ("openai:whisper-1@http://127.0.0.1:8000/v1", None, "whisper-1", "http://127.0.0.1:8000/v1"),
        (
            "openai:whisper-1@http://[::1]:80/v1/",
            "openai:whisper-1@http://[::1]:80/v1",
            "whisper-1",
            "http://[::1]:80/v1",
        ),
        ("openai:Systran/faster-whisper-tiny.en", None, "Systran/faster-whisper-tiny.en", None),
        ("openai:llama3.2:3b@https://host.example/v1", None, "llama3.2:3b", "https://host.example/v1"),
        ("openai:@cf/openai/whisper@https://host.example", None, "@cf/openai/whisper", "https://host.example"),
    ],
)
def test_names_that_are_taken(text: str, name: str | None, of_server: str, url: str | None) -> None:
    vendor = text.strip().partition(":")[0]
    assert remote_model(text) == RemoteModel(name or text, vendor, of_server, url)


@pytest.mark.parametrize("text", ["local:whisper-base", "extractive", "/models/whisper", "anthropic:x", "", "gemini"])
def test_what_is_no_remote_model(text: str) -> None:
    assert remote_model(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gemini:", "names no model"),
        ("openai:@http://127.0.0.1/v1", "names no model"),
        ("gemini:a b", "no name of a model"),
        ("gemini:../../secret", "no name of a model"),
        ("gemini:flash?key=1", "no name of a model"),
        ("openai:whisper-1@localhost:8000/v1", "begins with http"),
        ("openai:whisper-1@api.example.org", "begins with http"),
        ("openai:whisper-1@server/v1", "begins with http"),
        ("openai:whisper-1@ftp://host/v1", "not an http or https address"),
        ("openai:whisper-1@http://", "not an http or https address"),
        ("openai:whisper-1@http://host:99999/", "not an http or https address"),
        ("openai:whisper-1@http://host/a b", "not an http or https address"),
        ("openai:whisper-1@http://[::1/v1", "not an http or https address"),
        (f"openai:whisper-1@https://me:{KEY}@host/v1", "a user, a password"),
        (f"openai:whisper-1@https://host/v1?key={KEY}", "question mark"),
    ],
)
def test_names_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        remote_model(text)
    assert KEY not in str(refused.value.to_json())


def test_a_key_is_needed_and_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="GEMINI_API_KEY or GOOGLE_API_KEY"):
        client_of(model("gemini:flash"))
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        client_of(model("openai:whisper-1"))
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert client_of(model("gemini:flash")).name == "gemini"
    monkeypatch.setenv("GEMINI_API_KEY", "the-first-that-is-set")
    assert key_of(model("gemini:flash")) == "the-first-that-is-set"


def test_a_server_of_ones_own_needs_no_key() -> None:
    assert client_of(model("openai:tiny@http://127.0.0.1:8000/v1")).name == "openai"


@pytest.mark.parametrize("key", ["two words", "naïve", "line\nbreak"])
def test_a_key_that_can_not_be_sent_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="characters that no key has") as refused:
        client_of(model("openai:whisper-1"))
    assert key not in str(refused.value)


def test_a_client_tells_keys_and_servers_apart_without_showing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(name: str, key: str) -> Any:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        return client_of(model(name))

    one = client("openai:whisper-1", KEY)
    assert client("openai:gpt-4o-mini", KEY) == one
    assert client("openai:whisper-1", KEY + "2") != one
    assert client("openai:whisper-1@http://127.0.0.1:8000/v1", KEY) != one
    assert KEY not in repr(one)


def test_the_address_of_the_environment_counts_where_the_name_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")
    assert address_of(model("openai:m")) == "http://127.0.0.1:9/v1"
    assert address_of(model("openai:m@http://127.0.0.1:8/v1")) == "http://127.0.0.1:8/v1"
    assert address_of(model("gemini:m")) is None
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://u:{KEY}@127.0.0.1:9/v1/")
    with pytest.raises(UsageError, match="OPENAI_BASE_URL has a user, a password") as refused:
        address_of(model("openai:m"))
    assert KEY not in str(refused.value)


def test_a_client_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"narrowboat\[gemini\]"):
        client_of(model("gemini:flash"))
