"""Sources that failed are left alone for a time: what counts, for how long, and who asks all the same.

Covers: the rules; what is remembered is in the journal, so that they hold across runs. A source that is not there (404,
410), or that is above the cap, rests for a day at once; one that failed otherwise three times in a row does so too.
After that it is tried again; when it fails again, it rests again. A success forgets it, and so do seven days without a
failure.
Does not cover: tries within one fetch (``sources/tries``), fetching (``job``). Files in place are not remembered.
"""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urlsplit

from narrowboat.errors import (
    AddressRefused,
    FetchError,
    NarrowboatError,
    SourceError,
    SourceRests,
    TooLarge,
)
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import FailedSourceRow
from narrowboat.runner.failed_sources import KEPT_S
from narrowboat.runner.steps import digest
from narrowboat.shown import safe_source
from narrowboat.sources.locate import Source, locate

_ID = re.compile(r"[0-9a-fA-F]{4,64}")
#: Failures in a row after which a source rests.
FAILURES = 3
#: Seconds that it rests.
REST_S = 24 * 3600.0
#: Answers that mean: not there, and it was not by mistake.
_GONE = (404, 410)
_HINT = "`narrowboat retry` or --again asks now, `narrowboat sources --forget` forgets what failed"


class Resting:
    """The memory of failed sources of one home."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def row(self, source: Source, max_bytes: int | None) -> FailedSourceRow | None:
        """What is remembered of a source that rests now; None when it may be fetched.

        Args:
            max_bytes: the cap that holds now: one that was above a lower cap may be fetched.
        """
        if source.kind == "file":
            return None
        found = await self._journal.failed_source(key_of(source))
        if found is None or found.until is None or found.until <= self._journal.now():
            return None
        if source.episode is not None and found.told != _where(source):
            return None  # its feed names another address since
        limit = found.error["facts"].get("limit_bytes") if found.error["code"] == TooLarge.code else None
        return None if limit is not None and (max_bytes is None or max_bytes > limit) else found

    async def check(self, source: Source, max_bytes: int | None) -> None:
        """See that a source may be fetched.

        Raises:
            SourceRests: it failed before, and is left alone.
        """
        found = await self.row(source, max_bytes)
        if found is None or found.until is None:
            return
        times = f" {found.failures} times in a row" if found.failures > 1 else ""
        raise SourceRests(
            f"{found.shown} failed{times} and is left alone for {_hours(found.until - self._journal.now())} more;"
            f" the last time: {found.error['message']}",
            hint=_HINT,
            failures=found.failures,
            until=found.until,
            last_code=found.error["code"],
        )

    async def failed(self, source: Source, error: NarrowboatError, told: str | None) -> None:
        """Remember a failure, when it is one of the source.

        Args:
            told: the validator that the source had when it was submitted.
        """
        if source.kind == "file" or not _is_of_the_source(error):
            return
        key, now = key_of(source), self._journal.now()
        before = await self._journal.failed_source(key)
        if before is not None and before.last <= now - KEPT_S:
            before = None
        failures = 1 if before is None else before.failures + 1
        await self._journal.put_failed_source(
            FailedSourceRow(
                key=key,
                shown=source.shown,
                failures=failures,
                error=error.to_json(),
                told=told if source.episode is None else _where(source),
                first=now if before is None else before.first,
                last=now,
                until=_until(error, failures, now),
            ),
            keep_s=KEPT_S,
        )

    def worked(self, source: Source) -> None:
        """It was fetched: forget what failed before."""
        if source.kind != "file":
            self._journal.source_worked(key_of(source))

    async def forget(self, which: str) -> list[str]:
        """Forget what failed of the sources that ``which`` means; how these were shown.

        Args:
            which: an address, whole or as it is shown; the id that is shown with it, or its beginning; or ``all``.
        """
        if which == "all":
            return await self._journal.forget_sources("", "", "")
        key = ""
        with contextlib.suppress(NarrowboatError):
            key = key_of(locate(which))
        beginning = which.lower() if _ID.fullmatch(which) else ""
        return await self._journal.forget_sources(key, safe_source(which), beginning)


def key_of(source: Source) -> str:
    """The key of a source in the journal: nothing can be read from it."""
    return digest(["source", source.key])


def _where(source: Source) -> str:
    """A hash of an address without its parameters, which may be others each time that a feed is read."""
    return digest(urlsplit(source.location)._replace(query="", fragment="").geturl())


def _is_of_the_source(error: NarrowboatError) -> bool:
    """Whether it says something of the source, and not of this machine."""
    if isinstance(error, AddressRefused) or error.facts.get("offline"):
        return False
    return isinstance(error, SourceError | FetchError | TooLarge)


def _until(error: NarrowboatError, failures: int, now: float) -> float | None:
    if error.facts.get("status") in _GONE or isinstance(error, TooLarge) or failures >= FAILURES:
        return now + REST_S
    asked = error.facts.get("not_before")
    return None if asked is None else min(float(asked), now + REST_S)


def _hours(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
