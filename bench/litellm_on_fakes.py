"""litellm on the fakes of the engines: run by ``engine_peers`` in an environment that has it.

    python bench/litellm_on_fakes.py TESTS

Covers: Gemini's Files protocol and chat, streams, failures as litellm's exceptions; OpenAI's chat, speech, embeddings.
Prints one line of JSON, a list of checks. Does not cover: litellm itself, which is used as it is.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import sys
import wave
from collections.abc import Callable
from typing import Any

Check = dict[str, Any]
MODEL, SOUND = "gemini/gemini-2.5-flash", hashlib.shake_256(b"sound").digest(9 << 20)
KEY = {"api_key": "sk-a-key-of-the-bench"}
#: What litellm raises for a fault, or its finish reason.
FAULTS = {"429": "RateLimitError", "503": "InternalServerError", "500": "InternalServerError"}
FAULTS |= {"400": "BadRequestError", "401": "AuthenticationError", "404": "NotFoundError", "truncated": "length"}
FAULTS |= {"safety": "content_filter", "blocked": "content_filter"}


def files(litellm: Any, server: Any) -> list[Check]:
    """A file from start to end, asked about on its way."""
    server.set(processing_polls=1)
    where = {**KEY, "api_base": server.url, "custom_llm_provider": "gemini"}
    file = litellm.create_file(file=("talk.flac", SOUND, "audio/flac"), purpose="user_data", **where)
    (stored,) = server.files()
    states = [litellm.file_retrieve(file.id, **where).status for _ in range(2)]
    part = {"type": "file", "file": {"file_id": file.id, "format": "audio/flac"}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is said?"}, part]}]
    answer = litellm.completion(MODEL, asked, api_base=f"{server.url}/v1beta", **KEY)
    seen = server.log("generate")[-1]["question"]["files"]
    litellm.file_delete(file.id, **where)
    right = hashlib.sha256(SOUND).hexdigest()
    return [
        _check("file: the bytes arrive", stored["sha256"] == right, stored),
        _check("file: PROCESSING, then ACTIVE", states == ["uploaded", "processed"], states),
        _check("file: asked about", [one["sha256"] for one in seen] == [right], answer.choices[0].message.content),
        _check("file: deleted", server.files() == [], server.files()),
        _check("no key in an address", not any(one["key_in_url"] for one in server.log()), ""),
    ]


def chat(litellm: Any, server: Any) -> list[Check]:
    """Answers and failures of Gemini's chat."""

    def ask(**more: Any) -> Any:
        asked = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "What floats?"}]
        return litellm.completion(MODEL, asked, api_base=f"{server.url}/v1beta", num_retries=0, **KEY, **more)

    pieces = "".join(piece.choices[0].delta.content or "" for piece in ask(stream=True))
    found = [_check("chat: a stream", pieces == "This is a canned answer.", pieces)]
    for fault, expected in FAULTS.items():
        server.set(faults=[fault])
        try:
            seen = ask().choices[0].finish_reason
        except Exception as error:
            seen = type(error).__name__
        found.append(_check(f"chat: {fault}", seen == expected, seen))
    return found


def openai(litellm: Any, server: Any) -> list[Check]:
    """OpenAI's endpoints."""
    server.set(faults=[])
    where = {**KEY, "api_base": server.openai_url}
    answer = litellm.completion("openai/gpt-4o-mini", [{"role": "user", "content": "x"}], **where)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(32_000))
    sound.seek(0)
    sound.name = "talk.wav"
    heard = litellm.transcription("openai/whisper-1", sound, response_format="verbose_json", **where)
    made = litellm.embedding("openai/text-embedding-3-small", input=["a", "b"], **where)
    text = answer.choices[0].message.content
    return [
        _check("openai: chat", text == "This is a canned answer.", text),
        _check("openai: speech", heard.text == "This is a canned answer." and heard.segments, heard.text),
        _check("openai: embeddings", len(made.data) == 2, len(made.data)),
    ]


def _check(what: str, held: Any, seen: Any) -> Check:
    return {"check": what, "held": bool(held), "seen": str(seen)}


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    litellm = importlib.import_module("litellm")  # neither is where the types of this repository are checked
    running = importlib.import_module("fakes.running").running

    checks: list[Check] = []
    parts: list[Callable[[Any, Any], list[Check]]] = [files, chat, openai]
    with running() as server:
        for part in parts:
            try:
                checks += part(litellm, server)
            except Exception as error:
                checks.append(_check(part.__name__, False, f"{type(error).__name__}: {error}"[:500]))
    print(json.dumps(checks))


if __name__ == "__main__":
    main()
