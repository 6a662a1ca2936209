"""What ``Runner.map`` gives for each input.

Covers: the value or the error of one input, and the items of a resumable step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from narrowboat.errors import NarrowboatError
from narrowboat.values import Json


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one input.

    Attributes:
        input: as it was given.
        value: what a plain step returned; None for a stream.
        error: why there is none.
        job_id: the job in the journal.
    """

    input: Json
    value: Json
    error: NarrowboatError | None
    job_id: str
    _items: Callable[[], AsyncGenerator[Json]]

    @property
    def ok(self) -> bool:
        """True when the step was done."""
        return self.error is None

    def items(self) -> AsyncGenerator[Json]:
        """The item values of a stream, in order, also those that came before an error; read from the journal."""
        return self._items()

    def unwrap(self) -> Json:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.value
