"""That a run is to end: asked once, seen by all that would start something or wait.

Covers: the asking, and waiting that it ends. Does not cover: what follows (``workshop``, ``scheduler``).
"""

from __future__ import annotations

import asyncio
import contextlib


class Stop:
    """One event loop, no locks."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def asked(self) -> bool:
        """Nothing new is to start."""
        return self._event.is_set()

    def ask(self) -> None:
        """End the run."""
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
