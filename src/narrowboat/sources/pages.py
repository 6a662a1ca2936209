"""Answers that say 200 and are no file: pages of errors and of logins, nothing at all.

Covers: what is refused by its first bytes and its size. Does not cover: what a file is (``media/``).
"""

from __future__ import annotations

import re
from pathlib import Path

from narrowboat.errors import SourceError

#: Bytes below which nothing is sound or video: an eighth of a second of speech in MP3.
LEAST_MEDIA = 1024
_FIRST = 1024  # bytes that are looked at
_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
_MEDIA_SUFFIXES = {
    ".aac",
    ".flac",
    ".m4a",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp3",
    ".mp4",
    ".oga",
    ".ogg",
    ".opus",
    ".wav",
    ".webm",
}


def refuse_page(path: Path, size: int, kind: str | None, suffix: str, shown: str) -> None:
    """See that what was fetched may be a file.

    Args:
        path, size: what came, in bytes.
        kind: the type that the server told, or None.
        suffix: that the file will have.
        shown: the address as it may be shown.

    Raises:
        SourceError: it is empty, a web page, or far too small for sound or video. Fact ``reason`` is ``empty``,
            ``page`` or ``too_small``.
    """
    if size == 0:
        raise SourceError(f"{shown} sent nothing (0 bytes)", reason="empty")
    with path.open("rb") as file:
        first = file.read(_FIRST)
    if _PAGE.match(first):
        raise SourceError(
            f"{shown} sent a web page in the place of a file ({size} bytes)",
            hint="open it in a browser: it may need a login, or the link has expired",
            reason="page",
        )
    is_media = (kind or "").startswith(("audio/", "video/")) or suffix in _MEDIA_SUFFIXES
    if is_media and size < LEAST_MEDIA:
        raise SourceError(
            f"{shown} sent {size} bytes, too few for sound or video: an error page, it seems",
            hint="open it in a browser: the link may have expired",
            reason="too_small",
        )
