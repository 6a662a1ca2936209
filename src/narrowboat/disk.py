"""Free space: how much there is, how much of it stays free, and whether a folder lies in memory.

Covers: readings of a file system, room made for a file before it is written, refusals with numbers.
Does not cover: who may have how much of scratch (``runner/space``), the journal's own reserve (``journal/reserve``).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from narrowboat.errors import DiskFull
from narrowboat.sizes import MIB, format_size

#: What bulk (downloads, part files, packs) leaves free on a disk, in bytes: for outputs, for the journal, for others.
FLOOR = 64 * MIB
#: On a small file system the floor is this share of it instead.
FLOOR_SHARE = 1 / 16
#: Errors of the system that mean a full disk, a quota included.
FULL = (errno.ENOSPC, errno.EDQUOT)
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h
_IN_MEMORY = ("tmpfs", "ramfs")


def free_bytes(path: Path) -> int:
    """What may still be written where ``path`` is or would be, in bytes; 0 when that can't be read."""
    found = _statvfs(path)
    return 0 if found is None else found.f_bavail * found.f_frsize


def floor_bytes(path: Path) -> int:
    """The floor of the file system that ``path`` is or would be on: 64 MiB, or a sixteenth of a small one."""
    found = _statvfs(path)
    return FLOOR if found is None else min(FLOOR, int(found.f_blocks * found.f_frsize * FLOOR_SHARE))


def allocate(descriptor: int, size: int) -> None:
    """Give the open file ``size`` bytes of real blocks.

    Raises:
        OSError: there is no room.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (OSError, AttributeError) as error:  # macOS has none
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        for at in range(0, size, MIB):
            os.pwrite(descriptor, bytes(min(MIB, size - at)), at)


def extend(path: Path, size: int) -> None:
    """Give a file blocks up to ``size`` bytes and leave its length as it is; where that can't be done, nothing.

    Raises:
        OSError: there is no room; the file is as it was.
    """
    import ctypes  # not for those who only read sizes: a list of jobs must come at once

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "fallocate"):
            return
        while libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(size)) != 0:
            number = ctypes.get_errno()
            if number in FULL:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size)  # some file systems keep what they got
                raise OSError(number, os.strerror(number), str(path))
            if number != errno.EINTR:  # a tmpfs gives up for any signal
                return
    finally:
        os.close(descriptor)


def require(path: Path, size: int, what: str, *, floor: int | None = None, hint: str | None = None) -> None:
    """Refuse ``size`` bytes that would take the file system of ``path`` below its floor.

    Args:
        path: a file or folder, which need not be there yet.
        size: bytes to be written.
        what: what they are, for the message.
        floor: bytes that must stay free; None for :func:`floor_bytes`.
        hint: what to do in the place of freeing some.

    Raises:
        DiskFull: with the numbers.
    """
    floor = floor_bytes(path) if floor is None else floor
    free = free_bytes(path)
    if size > free - floor:
        raise no_room(path, size, what, free=free, floor=floor, hint=hint)


def no_room(
    path: Path, size: int, what: str, *, free: int, floor: int, promised: int = 0, hint: str | None = None
) -> DiskFull:
    """That ``size`` bytes for ``what`` don't fit beside the floor and what others were ``promised``."""
    kept = f", of which {format_size(floor)} stay free" if floor else ""
    others = f" and {format_size(promised)} are promised to others" if promised else ""
    return DiskFull(
        f"{what} needs {format_size(size)} in {_folder(path)}: {format_size(free)} are free there{kept}{others}",
        hint=hint or "free some, or use --home on a larger disk",
        path=str(path),
        needed_bytes=size,
        free_bytes=free,
        floor_bytes=floor,
        promised_bytes=promised,
    )


def full(path: Path, what: str, hint: str | None = None) -> DiskFull:
    """That the system found no space while ``what`` was written to ``path``."""
    free = free_bytes(path)
    return DiskFull(
        f"no space left to write {what}: {format_size(free)} are free in {_folder(path)}",
        hint=hint or "free some, or use --home on a larger disk",
        path=str(path),
        free_bytes=free,
    )


def used_bytes(path: Path) -> int:
    """What a file, or all files below a folder, take of the disk, in bytes."""
    total = 0
    with contextlib.suppress(OSError):
        total = path.lstat().st_blocks * 512
    if path.is_dir() and not path.is_symlink():
        for folder, _, names in os.walk(path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 -- called at each tick
    return total


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that ``path`` is or would be on (``ext4``, ``tmpfs``); empty when unknown."""
    best, kind = "", ""
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="replace").splitlines():
            _, point, fs_type, *_ = line.split()
            point = point.encode().decode("unicode_escape")
            if path.is_relative_to(point) and len(point) >= len(best):
                best, kind = point, fs_type
    return kind


def in_memory(path: Path) -> bool:
    """Whether files at ``path`` are memory."""
    return file_system(path) in _IN_MEMORY


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _statvfs(path: Path) -> os.statvfs_result | None:
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            return os.statvfs(place)
    return None
