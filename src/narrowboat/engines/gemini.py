"""Gemini, through Google's client. Loads in workers only.

Covers: one question with its files: uploading them, waiting until they can be read, asking, reading the answer,
removing them; removing what was left.
Does not cover: trying again (``runner/calls``), what is asked (``speech``, ``language``), what its errors mean
(``refusals``), sockets (``wire``).

A question's files lie in the key's store from the upload to the answer. Their names are chosen here and journaled
before. Read in google-genai 3.4: the client alone holds 8 MiB of a file at a time, sends each of them up to three
times, and follows redirects with the key. With the body and the connection that it is given here it holds 64 KiB,
nothing is sent twice, and the key stays with its server.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from google import genai
from google.genai import errors, types

from narrowboat import context
from narrowboat.engines import wire
from narrowboat.engines.answers import Answer, File, unfenced
from narrowboat.engines.refusals import Refusal, cleaned, malformed, refusal
from narrowboat.engines.remote import RemoteModel, address_of, key_of
from narrowboat.engines.vendor_clients import explained
from narrowboat.errors import EngineError, NarrowboatError, RemoteError
from narrowboat.values import Json
from narrowboat.waits import retry_after

#: Named, since the client would take one from the environment in its place.
_OWN = "https://generativelanguage.googleapis.com"
#: Seconds until a file that was uploaded is looked at again, doubled with each look, and the most of it.
_POLL_S, _MOST_POLL_S = 0.5, 5.0
#: Seconds that a file may be in preparation.
PROCESSING_S = 300.0
#: An address that chooses the version of the API. Without it the client takes v1, and many servers have v1beta alone.
_VERSIONED = re.compile(r"(.*)/(v\d+(?:alpha|beta)?)")
_BLOCK = 64 << 10  # bytes of a file that are in memory while it is sent
_GONE = {404, 410}  # statuses of an upload that the server does not know any more
_ENDED = {"STOP", "FINISH_REASON_UNSPECIFIED", None}
_CUT = {"MAX_TOKENS", "CONTINUATION"}
_NOBODY_KNOWS = {"OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"}


def generate(
    model: RemoteModel,
    parts: Sequence[str | File],
    *,
    system: str | None = None,
    schema: Json | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> Answer:
    """One answer to one question. Nothing of it stays in the remote store; what can't be removed is journaled.

    Args:
        parts: texts and files, in their order.
        system: what the model is told about its task.
        schema: JSON Schema that the answer is to follow; it is then JSON.

    Raises:
        EngineError: it will not answer: a bad key, no such model, blocked, empty. Fact ``reason`` where there is one.
        RemoteError: it did not answer this time; facts ``status``, ``wait_s``, ``quota``.
        Interrupted: the step was asked to stop.
    """
    for part in parts:
        if isinstance(part, File) and part.path.stat().st_size == 0:
            raise EngineError(f"{part.path.name} is empty (0 bytes)", hint="ask with a file that has something in it")
    asked = _config(system, schema, max_tokens, temperature)
    with contextlib.ExitStack() as stack:
        stack.enter_context(wire.limited(wire.LIMIT_S))
        given = [_text(part) if isinstance(part, str) else stack.enter_context(_stored(model, part)) for part in parts]
        question = types.Content(role="user", parts=given)
        with _explained(model) as client:
            response = client.models.generate_content(model=model.model, contents=question, config=asked)
        answer = _answer(model, response)
    return answer if schema is None else Answer(unfenced(answer.text), answer.finish, answer.usage)


def embed(model: RemoteModel, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text.

    Raises:
        EngineError, RemoteError, Interrupted: as :func:`generate`.
    """
    with wire.limited(wire.LIMIT_S), _explained(model) as client:
        response = client.models.embed_content(
            model=model.model, contents=[types.Content(parts=[_text(text)]) for text in texts]
        )
        vectors = [list(found.values or ()) for found in response.embeddings or ()]
    if len(vectors) != len(texts) or not all(vectors):
        raise malformed(model, f"{len(vectors)} vectors for {len(texts)} texts")
    return vectors


def remove(given: dict[str, Json]) -> None:
    """The step for ``context.uploading``: remove a file that may have been left. One that is not there is gone.

    Args:
        given: ``name``, as in the store; ``model`` and ``base_url`` of who put it there.

    Raises:
        EngineError, RemoteError: it may be there still.
    """
    model = RemoteModel(given["model"], "gemini", "", given["base_url"])
    with wire.limited(wire.CLEAR_S, stoppable=False):
        _delete(model, given["name"])


# -- files -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stored(model: RemoteModel, file: File) -> Iterator[types.Part]:
    """A file in the store, ready to be asked about; removed on the way out."""
    name = f"files/nb-{uuid.uuid4().hex}"
    given = {"name": name, "model": model.name, "base_url": address_of(model)}
    body = _Body(file.path)
    context.uploading(name, f"{__name__}:remove", given)
    try:
        put = _put(model, body, name, file.mime)
        yield types.Part(file_data=types.FileData(file_uri=put.uri, mime_type=file.mime))
    finally:
        if body.refused:
            context.removed(name)  # nothing was put there: the server would not have it
        else:
            _clear(model, name)


def _put(model: RemoteModel, body: _Body, name: str, mime: str) -> types.File:
    with _explained(model) as client:
        try:
            put = client.files.upload(file=body, config=types.UploadFileConfig(name=name, mime_type=mime))
        except errors.APIError as error:
            body.refused = not body.begun
            if body.begun and error.code in _GONE:
                raise _lost(model, error) from None
            raise
        with wire.limited(min(PROCESSING_S, wire.look())):
            wait = _POLL_S
            while put.state == types.FileState.PROCESSING:
                wire.pause(wait)
                wait = min(2 * wait, _MOST_POLL_S)
                try:
                    put = client.files.get(name=name)
                except errors.APIError as error:
                    raise (_lost(model, error) if _not_there(error) else error) from None
    if put.state == types.FileState.FAILED:
        said = cleaned(str(put.error.message or "") if put.error else "", key_of(model))
        raise EngineError(f"{model.name} can't read the file{': ' if said else ''}{said}", reason="file_failed")
    if not put.uri:
        raise malformed(model, "a file without an address")
    return put


def _clear(model: RemoteModel, name: str) -> None:
    """Remove a file now; if that can't be done it stays written down, and is removed when the job ends."""
    try:
        with wire.limited(wire.CLEAR_S, stoppable=False):
            _delete(model, name)
    except NarrowboatError as error:
        context.log(f"{name} could not be removed yet: {error.message}")
    else:
        context.removed(name)


def _delete(model: RemoteModel, name: str) -> None:
    with _explained(model) as client:
        try:
            client.files.delete(name=name)
        except errors.APIError as error:
            if not _not_there(error):
                raise


def _not_there(error: errors.APIError) -> bool:
    """Of a file that is not there the server says that it may not be there, or may be somebody else's."""
    return error.code == 404 or (error.code == 403 and "not exist" in str(error.message))


def _lost(model: RemoteModel, error: errors.APIError) -> RemoteError:
    """A file that was being put there is not there any more: the next try puts it there anew."""
    facts: dict[str, Any] = {"status": error.code, "wait_s": None, "quota": False}
    return RemoteError(f"{model.name} has lost a file on its way ({error.code})", hint="try again later", **facts)


class _Body(io.RawIOBase):
    """A file as the client is given it: in the place of bytes it reads what will be read while it is sent.

    Attributes:
        begun: the server takes the file, and has been sent some of it.
        refused: the server would not have it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._size, self._at = path, path.stat().st_size, 0
        self.begun = self.refused = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> Any:  # the client sends what it gets, and asks it for nothing but its length
        self.begun = True
        rest = _Rest(self._path, self._at, self._size)
        self._at = self._size
        return rest


class _Rest:
    """The bytes of a file from a place on, for a body of HTTP."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._path, self._start, self._end = path, start, end

    def __len__(self) -> int:
        return self._end - self._start

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._start)
            left = len(self)
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block


# -- the client --------------------------------------------------------------------------------------------------------


def _explained(model: RemoteModel) -> contextlib.AbstractContextManager[genai.Client]:
    """The client; what it raises inside becomes an error of ours."""

    def refused(error: Exception, key: str) -> NarrowboatError | None:
        return refusal(model, _refused(error), key) if isinstance(error, errors.APIError) else None

    return explained(model, _client, _OWN, refused)


@lru_cache(maxsize=4)
def _client(key: str, url: str) -> genai.Client:
    http = wire.client(url)
    http.event_hooks = {"response": [_once]}
    found = _VERSIONED.fullmatch(url)
    base, version = found.groups() if found else (url, None)
    options = types.HttpOptions(base_url=base, api_version=version, timeout=int(wire.LIMIT_S * 1000), httpx_client=http)
    return genai.Client(api_key=key or "none", vertexai=False, http_options=options)


def _once(response: Any) -> None:
    """End an upload that has failed: the client would send it twice more, whatever the server has said."""
    if "x-goog-upload-offset" in response.request.headers and "x-goog-upload-status" not in response.headers:
        errors.APIError.raise_for_response(response)
        raise ValueError("an upload without a status")


def _refused(error: errors.APIError) -> Refusal:
    told = error.details.get("error", error.details) if isinstance(error.details, dict) else {}
    details = [item for item in _list(told, "details") if isinstance(item, dict)]
    waits = [_seconds(item.get("retryDelay")) for item in details if "RetryInfo" in str(item.get("@type"))]
    headers = getattr(error.response, "headers", None) or {}
    return Refusal(
        error.code or 0,
        str(error.message or ""),
        frozenset(str(item["reason"]) for item in details if "reason" in item),
        next((wait for wait in waits if wait is not None), retry_after(headers.get("retry-after"))),
    )


def _list(told: Any, name: str) -> list[Any]:
    found = told.get(name) if isinstance(told, dict) else None
    return found if isinstance(found, list) else []


def _seconds(duration: Any) -> float | None:
    """A duration as JSON has it: ``"34.07s"``."""
    try:
        return max(0.0, float(str(duration).removesuffix("s")))
    except ValueError:
        return None


# -- question and answer -----------------------------------------------------------------------------------------------


def _text(text: str) -> types.Part:
    return types.Part(text=text)


def _config(
    system: str | None, schema: Json | None, max_tokens: int | None, temperature: float | None
) -> types.GenerateContentConfig:
    made = types.GenerateContentConfig(
        system_instruction=system, max_output_tokens=max_tokens, temperature=temperature, candidate_count=1
    )
    if schema is not None:
        made.response_mime_type, made.response_json_schema = "application/json", schema
    return made


def _answer(model: RemoteModel, response: types.GenerateContentResponse) -> Answer:
    key = key_of(model)
    blocked = response.prompt_feedback.block_reason if response.prompt_feedback else None
    if not response.candidates:
        if blocked:
            raise _blocked(model, blocked, "the question")
        raise malformed(model, "it has no candidates")
    found = response.candidates[0]
    why = _name(found.finish_reason)
    texts = (part.text for part in (found.content and found.content.parts) or () if not part.thought)
    text = "".join(piece for piece in texts if piece)
    if key:
        text = text.replace(key, "…")
    usage = response.usage_metadata
    out = [usage.candidates_token_count, usage.thoughts_token_count] if usage else []
    counts = {
        "input_tokens": usage.prompt_token_count if usage else None,
        "output_tokens": sum(count or 0 for count in out) if any(count is not None for count in out) else None,
    }
    if why in _CUT:
        return Answer(text, "length", counts)
    if why in _NOBODY_KNOWS:
        raise RemoteError(
            f"{model.name} ended its answer for no reason that it tells ({why})", status=None, wait_s=None
        )
    if why not in _ENDED:
        raise _blocked(model, found.finish_reason, "the answer")
    if not text.strip():
        raise EngineError(f"{model.name} gave an empty answer", hint="ask in other words", reason="empty")
    return Answer(text, "stop", counts)


def _blocked(model: RemoteModel, why: Any, what: str) -> EngineError:
    reason = cleaned(_name(why) or "", "")
    hint = "the vendor's rules do not allow it; another engine may have others"
    return EngineError(f"{model.name} blocked {what} ({reason})", hint=hint, reason=reason)


def _name(reason: Any) -> str | None:
    return None if reason is None else str(getattr(reason, "value", reason)).upper()
