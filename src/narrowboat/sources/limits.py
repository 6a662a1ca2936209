"""How large a source may be.

Covers: one refusal for sizes that are declared and for what comes. Light: the supervisor imports it.
Does not cover: room on the disk (``disk``).
"""

from __future__ import annotations

from narrowboat.errors import TooLarge
from narrowboat.sizes import format_size


def refuse_size(shown: str, verb: str, size: int, max_bytes: int | None) -> None:
    """See that a source that is, or has sent, ``size`` bytes is within the cap.

    Raises:
        TooLarge: it is not.
    """
    if max_bytes is not None and size > max_bytes:
        raise TooLarge(
            f"{shown} {verb} {format_size(size)}, more than the {format_size(max_bytes)} allowed",
            hint="allow more with --max-download, or with MAX_FILE_SIZE_MB where that is set",
            limit_bytes=max_bytes,
        )
