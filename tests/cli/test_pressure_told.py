"""What a person hears when memory is short: a line when it begins, and one when it ends."""

import asyncio
from typing import Any

from narrowboat.cli.session import Session
from narrowboat.memory.budget import Budget
from narrowboat.runner.status import Status


class Short:
    """In the place of a runner: memory is short at some of the looks."""

    def __init__(self, looks: list[str | None]) -> None:
        self.entries: list[Any] = []
        self.looks = looks
        self.seen = asyncio.Event()
        self._memory = Budget("4G").snapshot()

    def status(self) -> Status:
        pressure = self.looks.pop(0)
        if not self.looks:
            self.seen.set()
            self.looks.append(pressure)
        return Status(memory=self._memory, used=0, peak_used=0, jobs=[], counts={}, pressure=pressure)


class Lines:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def show(self, status: Status) -> None: ...

    def result(self, text: str, *, failed: bool = False) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None: ...


def test_a_line_when_pressure_begins_and_one_when_it_ends() -> None:
    text = "memory is short, 490 MiB used of 512 MiB: no more work is admitted"
    lines = Lines()

    async def main() -> None:
        runner: Any = Short([None, text, text, None])

        async def submit(*_: object) -> None:
            await runner.seen.wait()

        await Session(runner, lines, drain_s=0).follow(submit)

    asyncio.run(main())
    assert lines.notes == [text, "memory is no longer short: work is admitted again"]
