"""The kinds of jobs that the service takes.

Covers: which there are, in the order of the page.
Does not cover: what each takes (the modules that end in ``kind`` or ``kinds``).
"""

from __future__ import annotations

from functools import cache

from narrowboat.service.kinds import Kind
from narrowboat.service.pdf_kinds import extract_kind, outline_kind, split_kind
from narrowboat.service.pose_kind import pose_kind
from narrowboat.service.speech_kind import transcribe_kind


@cache
def kinds() -> dict[str, Kind]:
    """All kinds, by name."""
    found = (transcribe_kind(), pose_kind(), extract_kind(), split_kind(), outline_kind())
    return {kind.name: kind for kind in found}
