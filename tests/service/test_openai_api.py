"""OpenAI's transcription endpoint, asked by OpenAI's own client as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from service_harness import Served

openai = pytest.importorskip("openai")
TINY = "local:whisper-tiny.en"


@pytest.fixture(scope="module")
def client(service: Served) -> Any:
    return openai.OpenAI(api_key="not-needed", base_url=f"{service.url}/v1", max_retries=0)


def _ask(client: Any, speech: Path, **more: Any) -> Any:
    with speech.open("rb") as file:
        return client.audio.transcriptions.create(file=file, model=TINY, **more)


def test_json_and_the_text_formats(client: Any, speech: Path) -> None:
    found = _ask(client, speech)
    assert found.text.startswith("It was the best of times")
    assert found.usage.seconds == 45  # of 44.1, as OpenAI counts
    assert "best of times" in _ask(client, speech, response_format="text")
    assert _ask(client, speech, response_format="vtt").startswith("WEBVTT")
    assert " --> " in _ask(client, speech, response_format="srt")


def test_verbose_json_has_segments_with_times(client: Any, speech: Path) -> None:
    found = _ask(client, speech, response_format="verbose_json", timestamp_granularities=["segment"])
    assert found.language == "english"
    assert found.duration == pytest.approx(44, abs=1)
    assert [segment.id for segment in found.segments] == list(range(len(found.segments)))
    assert all(segment.start < segment.end for segment in found.segments)
    assert " ".join(segment.text.strip() for segment in found.segments) == found.text


def test_the_stream_adds_up_to_the_text(client: Any, speech: Path) -> None:
    events = list(_ask(client, speech, stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert events[-1].type == "transcript.text.done"
    assert "".join(deltas) == events[-1].text
    assert events[-1].text.startswith("It was the best of times")


def test_errors_have_the_client_s_own_classes(client: Any, speech: Path, service: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing-of-that-name"), speech.open("rb") as file:
        client.audio.transcriptions.create(file=file, model="nothing-of-that-name")
    with pytest.raises(openai.BadRequestError, match="words"):
        _ask(client, speech, response_format="verbose_json", timestamp_granularities=["word"])
    with pytest.raises(openai.UnprocessableEntityError, match="notes"):
        client.audio.transcriptions.create(file=("notes.txt", b"no sound at all"), model=TINY)
    with pytest.raises(openai.APIError, match="notes"):
        list(client.audio.transcriptions.create(file=("notes.txt", b"no sound at all!"), model=TINY, stream=True))
    assert service.leftovers() == []
