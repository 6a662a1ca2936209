"""What the head of a GGUF file says of the model in it. Imports nothing heavy.

Covers: the shapes that its memory follows from, and that memory; how long a text it takes in; files that are no GGUF,
or end in their head.
Does not cover: the weights, whether all of them are there (llama.cpp looks when it loads them: ``language/llama``).

The format: magic, version, two counts, then keys with typed values (github.com/ggml-org/ggml, docs/gguf.md). The shapes
come before the vocabulary, so that a few hundred bytes are read of most files; of none more than ``_MOST``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from narrowboat.errors import UsageError
from narrowboat.sizes import MIB

#: Tokens of a text that are taken in at once: where keys and values take no more than half of what the weights take.
_WINDOWS = (8192, 4096)
_SMALLEST_WINDOW = 2048
#: Tokens of a text that are worked on together. 512, as llama.cpp has it, takes 10 MiB more and is no faster here.
BATCH = 128
_MOST = 64 << 20  # bytes of a head; the vocabularies of large models take about 10 MiB
_MOST_KEYS = 4096
_LONGEST_NAME = 65_536
#: Type number -> struct format of a plain value. 8 is a string, 9 an array.
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LAST_KEY = "tokenizer.ggml.tokens"
#: Fields of the model's own family that have to be there, and those that may follow from others.
_NEEDED = ("block_count", "context_length", "embedding_length", "attention.head_count")


@dataclass(frozen=True, slots=True)
class Head:
    """A model's shapes.

    Attributes:
        family: such as ``llama``.
        size: bytes of the file.
        context: tokens that it was trained to take in.
        bytes_per_token: of keys and values, 16 bits each, in all layers.
        width: of a layer, and of what lies inside it.
        vocabulary: number of tokens.
    """

    family: str
    size: int
    context: int
    bytes_per_token: int
    width: int
    vocabulary: int


def window(head: Head) -> int:
    """Tokens that are taken in at once, question and answer together."""
    fits = (size for size in _WINDOWS if 2 * size * head.bytes_per_token <= head.size)
    return min(next(fits, _SMALLEST_WINDOW), head.context)


def footprint(head: Head) -> int:
    """Bytes (anonymous + shared) of a worker with the model loaded.

    The weights, keys and values of the window, the vocabulary, what a batch is worked on in, and a worker with the
    library: for SmolLM2-135M 204 MiB before the margin. Measured 177, and 16 more where much was preloaded.
    """
    batch = BATCH * 4 * 8 * head.width
    return int(1.1 * (head.size + window(head) * head.bytes_per_token + 320 * head.vocabulary + batch + 40 * MIB))


def read_head(path: Path) -> Head:
    """The shapes of the model in a file.

    Raises:
        UsageError: there is no such file, it is no GGUF, or it ends in its head.
    """
    hint = "give the path of a .gguf file with a language model"
    try:
        status = path.stat()
        if not path.is_file():
            raise UsageError(f"{path} is not a file", hint=hint)
        return _read(str(path), status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}", hint=hint) from None
    except EOFError:
        raise UsageError(f"{path} ends in its head: it was cut off, or is damaged", hint="fetch it again") from None


@lru_cache(maxsize=8)
def _read(path: str, size: int, changed: int) -> Head:
    """``changed`` is there so that another file in the same place is read again."""
    with Path(path).open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UsageError(f"{path} is no GGUF file", hint="give the path of a .gguf file with a language model")
        version, _, keys = struct.unpack("<IQQ", _take(file, 20))
        if version not in (2, 3) or keys > _MOST_KEYS:
            raise UsageError(f"{path} is GGUF of version {version}, or damaged", hint="versions 2 and 3 are known")
        found = _values(file, keys)
    family = str(found.get("general.architecture") or "")
    shape = {key.removeprefix(f"{family}."): value for key, value in found.items()}
    missing = [f"{family}.{name}" for name in _NEEDED if not shape.get(name)]
    if not family or missing:
        raise UsageError(
            f"{path} holds no language model that is known: it does not say {', '.join(missing) or 'what it is'}",
            hint="give a .gguf file with a model that writes",
        )
    try:
        return _head(family, size, shape, int(found.get(_LAST_KEY) or 0))
    except (TypeError, ValueError, ArithmeticError):
        raise UsageError(f"{path} is damaged: its shapes are no numbers", hint="fetch it again") from None


def _head(family: str, size: int, shape: dict[str, Any], vocabulary: int) -> Head:
    layers, width, heads = shape["block_count"], shape["embedding_length"], _list(shape["attention.head_count"])
    each = width // max(*heads, 1)
    long = (shape.get("attention.key_length") or each) + (shape.get("attention.value_length") or each)
    of_keys = _list(shape.get("attention.head_count_kv") or heads)
    in_all = sum(of_keys) if len(of_keys) > 1 else of_keys[0] * layers
    inside = max(_list(shape.get("feed_forward_length") or 4 * width))
    return Head(family, size, int(shape["context_length"]), int(2 * in_all * long), int(width + inside), vocabulary)


def _list(value: Any) -> list[int]:
    return value if isinstance(value, list) and value else [int(value or 0)]


def _values(file: BinaryIO, keys: int) -> dict[str, Any]:
    """Key -> value, up to the vocabulary, of which only the length is read."""
    found: dict[str, Any] = {}
    for _ in range(keys):
        key = _string(file)
        (kind,) = struct.unpack("<I", _take(file, 4))
        if key == _LAST_KEY and kind == _ARRAY:
            found[key] = struct.unpack("<IQ", _take(file, 12))[1]
            break
        value = _value(file, kind)
        if value is not None:
            found[key] = value
    return found


def _value(file: BinaryIO, kind: int) -> Any:
    """A value; None for arrays of anything but whole numbers, which are passed over."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _plain(file, kind)
    kind, count = struct.unpack("<IQ", _take(file, 12))
    if kind == _STRING:
        for _ in range(count):
            _take(file, struct.unpack("<Q", _take(file, 8))[0])
        return None
    if kind in (4, 5) and count <= _MOST_KEYS:
        return [_plain(file, kind) for _ in range(count)]
    _take(file, count * struct.calcsize("<" + _format(kind)))
    return None


def _plain(file: BinaryIO, kind: int) -> Any:
    layout = "<" + _format(kind)
    return struct.unpack(layout, _take(file, struct.calcsize(layout)))[0]


def _format(kind: int) -> str:
    if kind not in _PLAIN:
        raise EOFError  # nothing behind it can be read
    return _PLAIN[kind]


def _string(file: BinaryIO) -> str:
    (size,) = struct.unpack("<Q", _take(file, 8))
    if size > _LONGEST_NAME:
        _take(file, size)
        return ""
    return _take(file, size).decode("utf-8", "replace")


def _take(file: BinaryIO, size: int) -> bytes:
    if size > _MOST or file.tell() + size > _MOST:
        raise EOFError
    found = file.read(size)
    if len(found) < size:
        raise EOFError
    return found
