"""Episodes whose address has run out: looked up again in their feed.

Covers: when that helps, and what is said when it does not.
Does not cover: fetching (``job``), reading feeds (``feed_reading``).
"""

from __future__ import annotations

from dataclasses import replace

from narrowboat.errors import Interrupted, NarrowboatError, SourceError
from narrowboat.runner.entries import Call
from narrowboat.runner.feed_reading import read_feed
from narrowboat.sources.locate import Episode, Source, locate
from narrowboat.values import Json

#: Answers by which an address may have run out, or be for somebody else now.
RUN_OUT = (401, 403, 404, 410)


async def moved_episode(source: Source, error: SourceError, call: Call) -> Source:
    """The episode with the address that its feed names now.

    Args:
        source: what could not be fetched.
        error: why.
        call: runs the steps that read the feed.

    Raises:
        SourceError: ``error``, with what the feed says where that is something; it is no episode, the address has not
            run out, or the feed names no other.
    """
    if source.episode is None or error.facts.get("status") not in RUN_OUT:
        raise error
    try:
        said = await _look_up(source.episode, call)
    except Interrupted:
        raise
    except NarrowboatError as problem:
        raise _with_hint(error, f"its feed can't be read now: {problem.message}") from None
    if said is None:
        raise _with_hint(error, "its feed has it no more")
    if said["url"] == source.location:
        raise _with_hint(error, "its feed still names this address")
    return replace(source, location=said["url"])


async def _look_up(episode: Episode, call: Call) -> dict[str, Json] | None:
    feed = await read_feed(call, locate(episode.feed), {"guid": episode.guid})
    return feed.chosen[0] if feed is not None and feed.chosen else None


def _with_hint(error: SourceError, hint: str) -> SourceError:
    return SourceError(error.message, hint=hint, **error.facts)
