"""Keeping the newest outputs of a feed that is watched.

Covers: which outputs go. Only what watching had written goes, and only as it was written: what somebody has changed or
put in its place stays.
Does not cover: when (``watching``), the journal's own rows of them: a job whose outputs are gone is still done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import OutputRow

#: Seconds by which a file may be newer than the end of its job.
_SLACK_S = 2.0


async def delete_older(journal: Journal, key: str, keep: int, folder: Path, formats: Collection[str]) -> list[Path]:
    """Delete the outputs of all but the newest ``keep`` episodes of a feed; what was deleted.

    Args:
        key: of the feed (``Plan.key``).
        folder, formats: of what watching has written; the same job may have written elsewhere for somebody else.
    """
    done = [row for row in await journal.watched(key) if row.state == "done"]
    deleted = []
    for row in done[keep:]:
        for output in await journal.outputs(row.job_id):
            ours = output.path.parent == folder and output.format in formats and output.written
            if ours and _is_as_written(output, row.ended or 0.0):
                with contextlib.suppress(OSError):
                    output.path.unlink()
                    deleted.append(output.path)
    return deleted


def _is_as_written(output: OutputRow, ended: float) -> bool:
    try:
        found = output.path.lstat()
    except OSError:
        return False
    return found.st_size == output.bytes and found.st_mtime <= ended + _SLACK_S
