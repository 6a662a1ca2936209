"""A GGUF model in this process, through llama.cpp (xllamacpp). Loads in workers only.

Covers: loading one and keeping it, one question to it, being stopped; a listener that nobody can reach.
Does not cover: what is asked and how long texts are taken in (``gguf``), memory (``engines/gguf_head``).

The library answers calls in the process, and opens a listener beside that can't be had without: on loopback, for
anybody on the machine. Here it is a socket in a folder of the job that is removed as soon as it is bound, with a key
that is made up: there is nothing left to connect to.

Weights are read into memory, not mapped. Mapped ones are pages that the system may drop when memory is short, and every
token needs all of them: what is reserved for other jobs would be read from the disk again and again.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xllamacpp

from narrowboat import context
from narrowboat.engines.gguf_head import BATCH, read_head, window
from narrowboat.engines.language.parts import TooLong
from narrowboat.errors import EngineError, Interrupted
from narrowboat.values import Json

_SEED = 1  # and no temperature: the same question has the same answer
#: How much less likely a word is that stands among the last ones: small models go in circles otherwise.
_REPEAT, _LAST = 1.1, 256
_LONGEST_PATH = 100  # bytes of a socket's path; the system takes 107
_REASON = re.compile(r"error loading model: (.*)|error: (.*)")


@dataclass
class Written:
    """What a model wrote: the text, whether it was cut off, and how many tokens it read and wrote."""

    text: str = ""
    cut: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    refused: dict[str, Any] = field(default_factory=dict)


class Llama:
    """A model that is loaded, with a number of threads.

    Raises:
        EngineError: it can't be loaded; with llama.cpp's reason.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.window = window(read_head(path))
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_batch, params.n_ubatch = self.window, 1, BATCH, BATCH
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = threads, 0  # threads that spin while they wait take the cores of others
        params.n_gpu_layers, params.fit_params, params.warmup = 0, False, False
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.cache_ram_mib, params.cache_prompt, params.cache_idle_slots = 0, False, False
        params.ui, params.n_threads_http, params.verbosity = False, 1, 1
        params.api_keys = [secrets.token_hex(16)]
        with _nowhere() as address, _heard() as errors:
            params.hostnames = [address]
            try:
                self._server = xllamacpp.Server(params)
            except RuntimeError:
                raise EngineError(
                    f"{path} can't be loaded: {_reason(errors())}",
                    hint="a file that was cut off is to be fetched again; other models have other files",
                ) from None

    def ask(self, system: str, question: str, *, max_tokens: int, schema: Json | None = None) -> Written:
        """What the model writes.

        Raises:
            TooLong: the question is longer than the window.
            EngineError: the library will not do it; with its reason.
            Interrupted: the step was asked to stop.
        """
        asked: dict[str, Any] = {
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": _SEED,
            "repeat_penalty": _REPEAT,
            "repeat_last_n": _LAST,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if schema is not None:
            asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
        written = Written()
        try:
            self._server.handle_chat_completions(asked, lambda piece: _hear(piece, written))
        except (RuntimeError, ValueError) as error:  # a schema or a template that it can't make sense of
            raise EngineError(f"the model can't be asked: {' '.join(str(error).split())[:300]}") from None
        if context.stopping():
            raise Interrupted("the step was stopped")
        if written.refused.get("type") == "exceed_context_size_error":
            raise TooLong
        if written.refused:
            raise EngineError(f"the model can't answer: {str(written.refused.get('message'))[:300]}")
        return written


def _hear(piece: Any, written: Written) -> bool:
    """Take in what comes next; True ends it."""
    for chunk in piece if isinstance(piece, list) else [piece]:
        written.refused = chunk.get("error") or written.refused
        for choice in chunk.get("choices") or ():
            written.text += choice.get("delta", {}).get("content") or ""
            written.cut = written.cut or choice.get("finish_reason") == "length"
        usage = chunk.get("usage") or {}
        written.tokens_in = usage.get("prompt_tokens", written.tokens_in)
        written.tokens_out = usage.get("completion_tokens", written.tokens_out)
    return context.stopping()


# -- one at a time ----------------------------------------------------------------------------------------------------

_loaded: dict[tuple[str, int, int], Llama] = {}


def loaded(path: Path, threads: int) -> Llama:
    """The model, kept from call to call; another one, or another number of threads, takes its place."""
    key = str(path), path.stat().st_mtime_ns, threads
    if key not in _loaded:
        _loaded.clear()  # first, so that there are never two
        _loaded[key] = Llama(path, threads)
    return _loaded[key]


@contextmanager
def _nowhere() -> Iterator[str]:
    """A place for a socket, which is gone afterwards."""
    own = context.scratch()
    near = own if len(os.fsencode(own)) < _LONGEST_PATH - 30 else None
    with tempfile.TemporaryDirectory(prefix="gguf-", dir=near) as folder:
        yield f"{folder}/nobody.sock"


@contextmanager
def _heard() -> Iterator[Any]:
    """Keep what is written to the standard error meanwhile: reasons are told there only. Yields what reads it."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: (file.seek(0), file.read().decode("utf-8", "replace"))[1]
        finally:
            os.dup2(before, 2)
            os.close(before)


def _reason(text: str) -> str:
    found = [first or second for first, second in _REASON.findall(text)]
    return found[0][:300] if found else "llama.cpp does not say why"
