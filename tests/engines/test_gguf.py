"""GGUF models: their heads, files that are none, what is written by the smallest one."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from narrowboat import context
from narrowboat.engines.gguf_head import Head, footprint, read_head, window
from narrowboat.engines.language_models import language_client, language_demand, language_model
from narrowboat.errors import EngineError, Interrupted, UsageError

U32, STRING, ARRAY = 4, 8, 9
SHAPE = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "tokenizer.ggml.tokens": ["<s>", "boat"],
}


def packed(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def value(given: Any) -> bytes:
    if isinstance(given, str):
        return struct.pack("<I", STRING) + packed(given)
    if isinstance(given, list):
        inner = b"".join(packed(one) if isinstance(one, str) else struct.pack("<I", one) for one in given)
        return struct.pack("<IIQ", ARRAY, STRING if isinstance(given[0], str) else U32, len(given)) + inner
    return struct.pack("<II", U32, given)


def gguf(shape: dict[str, Any], *, version: int = 3, keys: int | None = None) -> bytes:
    pairs = b"".join(packed(key) + value(given) for key, given in shape.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(shape) if keys is None else keys) + pairs


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


# -- heads ------------------------------------------------------------------------------------------------------------


def test_the_shapes_of_a_model(file: Callable[[bytes], Path]) -> None:
    path = file(gguf(SHAPE))
    assert read_head(path) == Head("llama", path.stat().st_size, 8192, 2 * 30 * 3 * 128, 576 + 1536, 2)


def test_shapes_that_differ_by_layer(file: Callable[[bytes], Path]) -> None:
    head = read_head(file(gguf({**SHAPE, "llama.attention.head_count_kv": [3] * 10 + [1] * 20})))
    assert head.bytes_per_token == 2 * 50 * 128
    wide = read_head(file(gguf({"llama.attention.key_length": 256, "llama.attention.value_length": 256, **SHAPE})))
    assert wide.bytes_per_token == 2 * 30 * 3 * 512


def test_values_in_front_of_the_shapes_are_passed_over(file: Callable[[bytes], Path]) -> None:
    shape = {"general.tags": ["a", "b"], "x.sizes": [1, 2], "x.long": "y" * 100_000, **SHAPE}
    assert read_head(file(gguf(shape))).context == 8192


def test_a_model_takes_more_with_a_longer_window_and_a_larger_file(smollm2: Path) -> None:
    head = read_head(smollm2)
    assert window(head) == 2048
    assert footprint(head) <= language_demand(language_model("gguf:smollm2"), {}).bytes
    large = Head("llama", 5 << 30, 131_072, 131_072, 18_432, 128_256)
    assert window(large) == 8192
    assert (5 << 30) + (1 << 30) < footprint(large) < 8 << 30
    assert window(Head("llama", 5 << 30, 512, 1, 1, 1)) == 512


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no GGUF file"),
        (b"PK\x03\x04" + bytes(100), "is no GGUF file"),
        (gguf(SHAPE)[:12], "ends in its head"),
        (gguf(SHAPE)[:150], "ends in its head"),
        (gguf(SHAPE, version=77), "of version 77"),
        (gguf(SHAPE, keys=1 << 40), "or damaged"),
        (gguf({"general.architecture": "clip"}), "it does not say clip.block_count"),
        (gguf({"a": 1}), "no language model that is known"),
        (gguf({**SHAPE, "llama.block_count": "thirty"}), "its shapes are no numbers"),
        (gguf({"a": 1})[:-8] + struct.pack("<II", 99, 1), "ends in its head"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60), "ends in its head"),
        (gguf({})[:-8] + struct.pack("<Q", 1) + packed("a") + struct.pack("<IIQ", 9, 8, 1 << 50), "ends in its head"),
    ],
)
def test_files_that_are_none(file: Callable[[bytes], Path], content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_head(file(content))


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gguf:", "there is no language model gguf:"),
        ("gguf:llama", "known are gguf:smollm2; a file is named by its path"),
        ("gguf:whisper-base", "there is no language model gguf:whisper-base"),
        ("gguf:/no/such/file.gguf", "there is no file /no/such/file.gguf"),
        ("gguf:/", "/ is not a file"),
    ],
)
def test_names_that_are_none(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        language_model(name)


def test_a_file_is_another_model_when_it_changes(file: Callable[[bytes], Path]) -> None:
    path = file(gguf(SHAPE) + bytes(100))
    first = language_model(f"gguf:{path}")
    assert (first.path, first.pack, first.kind) == (str(path), None, "small local model")
    assert language_client(first) is None
    file(gguf(SHAPE) + bytes(99) + b"1")
    os.utime(path, (1, 1))
    assert language_model(f"gguf:{path}").version != first.version


# -- writing ----------------------------------------------------------------------------------------------------------

BOATS = [{"text": "The narrow boat left the lock at dawn. It carried coal and flour to the mill at Aldgrave."}]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[context.Context]:
    before, own = context.current(), context.Context(tmp_path / "scratch")
    context.enter(own)
    yield own
    context.enter(before)


def complete(path: Path, **inputs: Any) -> dict[str, Any]:
    from narrowboat.engines.language.gguf import complete

    given = {"model": "gguf:x", "path": str(path), "prompt": "", "passages": BOATS, "words": None, "schema": None}
    return complete({**given, "max_tokens": 24, **inputs})


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(("share", "said"), [(0.5, "not within the file bounds"), (0.005, "can't be loaded")])
def test_a_file_that_was_cut_off_is_told(smollm2: Path, tmp_path: Path, share: float, said: str) -> None:
    path = tmp_path / "cut.gguf"
    with smollm2.open("rb") as whole:
        path.write_bytes(whole.read(int(smollm2.stat().st_size * share)))
    with pytest.raises(EngineError, match=said):
        complete(path)


def listening() -> set[str]:
    """The sockets of this process that take connections from the network."""
    own = {path.readlink().name for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


def test_nobody_else_can_ask(smollm2: Path, scratch: context.Context) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert len(listening()) >= 1
    before = listening()
    assert complete(smollm2)["text"]
    assert listening() <= before
    assert list(scratch.scratch().rglob("*.sock")) == []


@pytest.mark.usefixtures("scratch")
def test_an_answer_follows_a_schema(smollm2: Path) -> None:
    schema = {"type": "object", "properties": {"boats": {"type": "integer"}}, "required": ["boats"]}
    answer = complete(smollm2, prompt="How many boats were there? Answer as JSON", schema=schema, max_tokens=40)
    assert answer["text"].startswith("{")
    with pytest.raises(EngineError, match="can't be asked"):
        complete(smollm2, prompt="?", schema={"$ref": "#/nowhere"})


def test_a_model_that_writes_can_be_stopped(smollm2: Path, scratch: context.Context) -> None:
    scratch.stopping = True
    with pytest.raises(Interrupted):
        complete(smollm2, max_tokens=400)


@pytest.mark.usefixtures("scratch")
def test_who_waits_for_the_model_does_not_hold_the_interpreter(smollm2: Path) -> None:
    """A worker gives signs of life from another thread."""
    complete(smollm2, max_tokens=1)
    alive, over = threading.Event(), threading.Event()

    def beat() -> None:
        while not over.is_set():
            alive.set()

    thread = threading.Thread(target=beat)
    thread.start()
    alive.wait()
    alive.clear()
    complete(smollm2)
    assert alive.is_set()
    over.set()
    thread.join()


@pytest.mark.parametrize(
    ("text", "words", "cut", "left"),
    [
        ("It went. It came. It went.", None, False, "It went. It came."),
        ("It went. It came and", None, True, "It went."),
        ("It went. It came and", None, False, "It went. It came and"),
        ("- coal\n- flour\n\n- coal", None, False, "- coal\n- flour"),
        ("It went on. It came back. It left.", (2, 5), False, "It went on. It left."),
        ("It went on and on", (1, 2), True, "It went on and on"),
        ("", None, True, ""),
    ],
)
def test_what_small_models_add_is_taken_out(text: str, words: Any, cut: bool, left: str) -> None:
    from narrowboat.engines.language.gguf import tidied

    assert tidied(text, words, cut) == left
