"""What the tests of the remote engines share: models on a server of the test's own, keys, a call's context."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from loopback import Request

from narrowboat import context
from narrowboat.engines.remote import RemoteModel, remote_model

GEMINI_KEY = "AIzaPlanted-3fd0c1f5a8b94e27"
OPENAI_KEY = "sk-planted-77ab0d9e5c3146f2"


def gemini_at(url: str, model: str = "gemini-2.5-flash") -> RemoteModel:
    found = remote_model(f"gemini:{model}@{url}")
    assert found is not None
    return found


def openai_at(url: str, model: str = "gpt-4o-mini") -> RemoteModel:
    found = remote_model(f"openai:{model}@{url}")
    assert found is not None
    return found


def send_json(request: Request, value: Any, status: str = "200 OK", **headers: object) -> None:
    request.send(status, json.dumps(value).encode(), Content_Type="application/json", Connection="close", **headers)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", GEMINI_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    for name in ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


class Told(context.Context):
    """A call's context that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[dict[str, Any]] = []
        super().__init__(send_log=self.lines.append, note_remote=self.notes.append)

    @property
    def journaled(self) -> list[str]:
        """The remote files that are written down and not known to be gone."""
        names = [note["name"] for note in self.notes if note["remove"]]
        return [name for name in names if not any(note["name"] == name and not note["remove"] for note in self.notes)]


@pytest.fixture
def told() -> Iterator[Told]:
    before, own = context.current(), Told()
    context.enter(own)
    yield own
    context.enter(before)
