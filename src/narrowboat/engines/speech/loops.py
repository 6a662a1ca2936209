"""Sentences that a model says again and again.

Covers: a speech model that loses its way repeats what it has said last until it has no more room, most often in music
and noise; servers give that as if it had been said.
Does not cover: noticing that words are missing instead (``remote``), our own models, which decode such a stretch anew
(``whisper``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from narrowboat.engines.speech.timing import Said

#: The same so many times in a row is what nobody says.
LOOP = 8


def without_loops(said: Iterable[Said]) -> Iterator[Said]:
    """The same, with what is said again and again said once."""
    for _, same in groupby(said, lambda one: (one.speaker, "".join(filter(str.isalnum, one.text.casefold())))):
        repeated = list(same)
        yield from repeated if len(repeated) < LOOP else repeated[:1]
