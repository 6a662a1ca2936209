"""Opening the database, its versions, and what its errors mean.

Covers: connections with the settings that the promises rest on, migrations, sqlite3 errors as ours.
Does not cover: threads (``writer``), the home's lock (``lock``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from narrowboat.disk import free_bytes
from narrowboat.errors import DiskFull, JournalError, NarrowboatError
from narrowboat.journal.queries import schema_scripts
from narrowboat.sizes import format_size

FILE = "journal.db"
CACHE_KIB = 256  # pages that a connection keeps in memory; 1024 was no faster, and took 1.5 MiB more in long runs
BUSY_MS = 60_000  # somebody else may have the file open, with a tool of their own: wait rather than fail
_NO_SPACE = 1 << 20  # an I/O error with less than this free, in bytes, is taken for a full disk


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes, brought to the newest version of the schema.

    Raises:
        sqlite3.Error: see :func:`as_error`.
        JournalError: it is of a newer version.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes hold in an empty file only
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA journal_size_limit = 4194304")
        migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Where there is no journal yet, an empty one in memory.

    Raises:
        sqlite3.Error: see :func:`as_error`.
        JournalError: it is of another version.
    """
    if not path.exists():
        return _empty()
    db = sqlite3.connect(_address(path), uri=True, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
        found, latest = version(db), schema_scripts()[-1][0]
    except BaseException:
        db.close()
        raise
    if found == latest:
        return db
    db.close()
    if found == 0:  # just being made
        return _empty()
    if found > latest:
        raise _too_new(path, found, latest)
    raise JournalError(
        f"the journal {path} is of version {found}, this Narrowboat reads version {latest}",
        hint="the next run brings it up to date",
        path=str(path),
    )


def _address(path: Path) -> str:
    # A reader needs the log's index beside the file. Where nobody can make one, nobody writes either.
    indexed = path.with_name(path.name + "-shm").exists() or os.access(path.parent, os.W_OK)
    return f"{path.absolute().as_uri()}?mode=ro" + ("" if indexed else "&immutable=1")


def _empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _prepare(db)
    migrate(db, Path(":memory:"))
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.row_factory = sqlite3.Row
    db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def version(db: sqlite3.Connection) -> int:
    """The schema's version; 0 of an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, path: Path, scripts: Sequence[tuple[int, str]] | None = None) -> None:
    """Bring the schema up to the last of ``scripts``, all in one transaction: nobody reads half of it.

    Raises:
        JournalError: it is newer than that.
    """
    scripts = schema_scripts() if scripts is None else scripts
    found, latest = version(db), scripts[-1][0]
    if found > latest:
        raise _too_new(path, found, latest)
    missing = [script for number, script in scripts if number > found]
    if not missing:
        return
    try:
        db.executescript("\n".join(["BEGIN IMMEDIATE;", *missing, f"PRAGMA user_version = {latest};", "COMMIT;"]))
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _too_new(path: Path, found: int, latest: int) -> JournalError:
    return JournalError(
        f"the journal {path} is of version {found}, this Narrowboat knows versions up to {latest}",
        hint="upgrade narrowboat, or use another --home",
        path=str(path),
        version=found,
    )


def no_space(error: sqlite3.Error) -> bool:
    """Whether more space may help: SQLite calls only some of a full disk's errors so, and none of a quota's."""
    return _primary(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def as_error(error: sqlite3.Error, path: Path) -> NarrowboatError:
    """What ``error`` means for a person."""
    code, free = _primary(error), free_bytes(path)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and free < _NO_SPACE):
        return DiskFull(
            f"no space left for the journal {path}, its reserve included: {format_size(free)} are free",
            hint="free some space and run again; what is committed is kept",
            path=str(path),
            free_bytes=free,
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalError(
            f"the journal {path} is damaged: {error}",
            hint=f"move {path.name} and its -wal and -shm files away, or restore a copy; "
            "outputs are not touched, jobs that were not done start over",
            path=str(path),
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(
            f"the journal {path} can't be opened for this: {error}",
            hint="check who owns the home and whether its file system is writable, or use another --home",
            path=str(path),
        )
    return JournalError(f"the journal {path} failed: {error}", path=str(path))


def _primary(error: sqlite3.Error) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return sqlite3.SQLITE_ERROR if code is None else code & 0xFF  # the low byte is the primary code
