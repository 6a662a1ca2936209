"""Decoding a stream to its end, sound or pictures: what may be damaged, and what may be missing.

Covers: frames with damaged ones skipped and counted, the length that was promised. Loads in workers only.
Does not cover: opening and choosing (``container.py``), what becomes of the frames (``audio.py``, ``video.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.media.container import AGAIN, truncated

#: Of all frames, how many may be damaged before the file is refused: players hide this much.
MOST_DAMAGED = 0.05
FEW_DAMAGED = 10  # frames; so many are skipped in a short file as well
#: Seconds and share by which decoding may end before the length that the container declares.
SHORTER_BY, SHORTER_SHARE = 2.0, 0.02


def decoded(container: Any, stream: Any, name: str, what: str) -> Iterator[Any]:
    """The frames of a stream; damaged ones are skipped, counted and logged.

    Args:
        what: ``"sound"`` or ``"pictures"``, for messages.

    Raises:
        SourceError: there is no frame, or more than :data:`MOST_DAMAGED` are damaged.
    """
    packets = bad = frames = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            found = packet.decode()
        except (av.error.MemoryError, av.error.EOFError):
            raise
        except av.error.FFmpegError:
            bad += 1
            continue
        frames += len(found)
        yield from found
    if not frames:
        raise SourceError(f"{name} holds no {what} that can be decoded", reason="not_media")
    if bad > max(FEW_DAMAGED, MOST_DAMAGED * packets):
        raise SourceError(
            f"{name} is damaged: {bad} of its {packets} frames can't be decoded", hint=AGAIN, reason="damaged"
        )
    if bad:
        context.log(f"{name}: {bad} of {packets} damaged frames were skipped")


def check_length(name: str, what: str, reached: float, declared: float) -> None:
    """See that decoding came as far as the container promised, both in seconds.

    Raises:
        SourceError: it ended well before.
    """
    if reached < declared * (1 - SHORTER_SHARE) - SHORTER_BY:
        verb = "ends" if what == "sound" else "end"
        raise truncated(name, f"its {what} {verb} at {reached:.1f} s of {declared:.1f} s")
