"""Model files of ctranslate2, re-written with 8-bit weights once, so that loading has no spike.

Covers: the binary layout of ``model.bin`` (versions 4 to 6), read and written a few rows at a time: the
memory that it takes does not depend on the size of the model.
Does not cover: where the result is kept (``speech/prepare.py``).

Layout, as ``ctranslate2.specs.model_spec`` writes it (little-endian): version u32, name, revision u32, count u32; for
each variable its name, rank u8, dimensions u32, type u8, bytes u32, data; then the aliases: count u32,
pairs of names. A name is its length with the closing zero u16, the bytes, a zero.
Weights are quantised as its converter does: per row, scale 127 / max |x|, rounded to even.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from narrowboat.errors import UsageError

_FLOATS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    4: np.dtype("<f2"),
}  # type number of the file -> what numpy calls it
_FLOAT32, _INT8 = 0, 1
_BLOCK = 1 << 21  # bytes of float32 quantised at a time
_SMALLEST_MAX = np.float32(127) / np.finfo(np.float32).max  # keeps the scale of a tiny row finite
_VERSIONS = range(4, 7)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a model file: where its data lies, not the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    size: int  # bytes
    offset: int

    @property
    def quantisable(self) -> bool:
        """Weights of linear layers, convolutions and embeddings; not biases, norms and positions."""
        return self.name.endswith("/weight") and len(self.shape) > 1 and self.type in _FLOATS


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The table of contents of a ``model.bin``."""

    version: int
    name: str
    revision: int
    variables: tuple[Variable, ...]
    aliases: tuple[tuple[str, str], ...]


def read_contents(path: Path) -> ModelFile:
    """The table of contents of a model file, without reading the weights.

    Raises:
        UsageError: not such a file, of a version we don't know, or cut short.
    """
    try:
        with path.open("rb") as file:
            return _read_contents(file)
    except (struct.error, UnicodeDecodeError, EOFError) as error:
        raise UsageError(
            f"{path} is no ctranslate2 model, or is cut short", hint="convert or copy the model again"
        ) from error


def is_int8(contents: ModelFile) -> bool:
    """True when no weight is left to quantise."""
    return not any(variable.quantisable for variable in contents.variables)


def write_int8(source: Path, target: Path) -> None:
    """Write ``source`` to ``target`` with its float weights as int8 rows and float32 scales.

    Raises:
        UsageError: as :func:`read_contents`.
        OSError: reading or writing failed; ``target`` is then incomplete.
    """
    contents = read_contents(source)
    with source.open("rb") as file, target.open("wb") as out:
        count = len(contents.variables) + sum(variable.quantisable for variable in contents.variables)
        out.write(struct.pack("<I", contents.version) + _name(contents.name))
        out.write(struct.pack("<II", contents.revision, count))
        for variable in contents.variables:
            if variable.quantisable:
                _write_quantised(file, variable, out)
            else:
                out.write(_header(variable.name, variable.shape, variable.type, variable.size))
                for block in _blocks(file, variable.offset, variable.size, _BLOCK):
                    out.write(block)
        out.write(struct.pack("<I", len(contents.aliases)))
        for alias, name in contents.aliases:
            out.write(_name(alias) + _name(name))
        out.flush()
        os.fsync(out.fileno())


def quantise_rows(rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Rows of float32 (n, m) as int8 (n, m) and their scales (n,): x ~ q / scale."""
    largest = np.amax(np.absolute(rows), axis=1)
    largest[largest == 0] = 127.0
    scale = (127.0 / np.maximum(largest, _SMALLEST_MAX)).astype(np.float32)
    return np.rint(rows * scale[:, None]).astype(np.int8), scale


def _write_quantised(file: BinaryIO, variable: Variable, out: BinaryIO) -> None:
    rows = variable.shape[0]
    width = int(np.prod(variable.shape[1:]))
    kind = _FLOATS[variable.type]
    out.write(_header(variable.name, variable.shape, _INT8, rows * width))
    scales = []
    step = max(1, _BLOCK // (4 * width)) * width * kind.itemsize
    for block in _blocks(file, variable.offset, variable.size, step):
        values = np.frombuffer(block, kind).astype(np.float32).reshape(-1, width)
        quantised, scale = quantise_rows(values)
        out.write(quantised.tobytes())
        scales.append(scale)
    data = np.concatenate(scales).astype("<f4").tobytes()
    out.write(_header(variable.name + "_scale", (rows,), _FLOAT32, len(data)) + data)


def _blocks(file: BinaryIO, offset: int, size: int, step: int) -> Iterator[bytes]:
    file.seek(offset)
    while size > 0:
        block = _read(file, min(step, size))
        size -= len(block)
        yield block


def _read_contents(file: BinaryIO) -> ModelFile:
    end = os.fstat(file.fileno()).st_size
    version = _number(file, "<I")
    if version not in _VERSIONS:
        raise UsageError(
            f"version {version} of the model format is not known", hint="convert the model again", version=version
        )
    name, revision = _read_name(file), _number(file, "<I")
    variables = []
    for _ in range(_number(file, "<I")):
        label = _read_name(file)
        rank = _number(file, "<B")
        shape = struct.unpack(f"<{rank}I", _read(file, 4 * rank))
        kind, size = struct.unpack("<BI", _read(file, 5))
        variables.append(Variable(label, shape, kind, size, file.tell()))
        if file.seek(size, os.SEEK_CUR) > end:
            raise EOFError(label)
    aliases = tuple((_read_name(file), _read_name(file)) for _ in range(_number(file, "<I")))
    return ModelFile(version, name, revision, tuple(variables), aliases)


def _header(name: str, shape: tuple[int, ...], kind: int, size: int) -> bytes:
    return _name(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, kind, size)


def _name(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<H", len(data) + 1) + data + b"\0"


def _read_name(file: BinaryIO) -> str:
    return _read(file, _number(file, "<H"))[:-1].decode()


def _number(file: BinaryIO, layout: str) -> int:
    value: int = struct.unpack(layout, _read(file, struct.calcsize(layout)))[0]
    return value


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError(f"{size} bytes wanted, {len(data)} left")
    return data
