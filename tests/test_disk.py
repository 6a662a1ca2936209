"""Readings of a file system, and refusals with numbers."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from narrowboat import disk
from narrowboat.errors import DiskFull
from narrowboat.sizes import MIB


def test_what_is_not_there_yet_is_read_where_it_would_be(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "a" / "b") > 0
    assert disk.floor_bytes(tmp_path / "a" / "b") == disk.floor_bytes(tmp_path)


def test_the_floor_of_a_small_disk_is_small(disk_of: Callable[[str], Path]) -> None:
    place = disk_of("32M")
    assert disk.floor_bytes(place) == 2 * MIB
    disk.require(place / "file", 29 * MIB, "it")
    with pytest.raises(DiskFull, match=rf"it needs 31.0 MiB in {place}: 32.0 MiB are free there, of which 2.0 MiB"):
        disk.require(place / "file", 31 * MIB, "it")
    disk.require(place / "file", 31 * MIB, "it", floor=0)
    assert disk.in_memory(place / "file")


def test_a_file_that_can_not_be_extended_stays_as_it_was(disk_of: Callable[[str], Path]) -> None:
    file = disk_of("8M") / "file"
    file.write_bytes(b"begun")
    with pytest.raises(OSError, match="space") as told:
        disk.extend(file, 20 * MIB)
    assert told.value.errno == errno.ENOSPC
    assert file.read_bytes() == b"begun"
    assert disk.used_bytes(file) < MIB
    disk.extend(file, 4 * MIB)
    assert (disk.used_bytes(file), file.stat().st_size) == (4 * MIB, 5)


def test_blocks_are_real_where_the_system_can_not_promise_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", refuses)
    with (tmp_path / "file").open("wb") as file:
        disk.allocate(file.fileno(), 3 * MIB + 1)
    assert (tmp_path / "file").stat().st_size == 3 * MIB + 1
    assert disk.used_bytes(tmp_path) >= 3 * MIB


def test_the_file_system_of_a_path(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("dev / ext4 rw 0 0\nnone /a\\040b tmpfs rw 0 0\nother /a\\040b/c xfs rw 0 0\n")
    assert disk.file_system(Path("/a b/x"), mounts) == "tmpfs"
    assert disk.file_system(Path("/a b/c/x"), mounts) == "xfs"
    assert disk.file_system(Path("/a"), mounts) == "ext4"
    assert disk.file_system(Path("/a"), tmp_path / "missing") == ""
