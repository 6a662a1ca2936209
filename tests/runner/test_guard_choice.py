"""A runner keeps to the means of the guard that it was given, and keeps more free where one kill takes all."""

import asyncio
from pathlib import Path

import pytest

from narrowboat import Runner
from narrowboat.errors import UsageError
from narrowboat.memory.budget import HEADROOM
from narrowboat.memory.cgroups import Group
from narrowboat.runner import runner as module
from narrowboat.runner.report import report


def test_the_report_names_what_was_in_force(tmp_path: Path) -> None:
    async def main() -> dict[str, object]:
        async with Runner(home=tmp_path, guard=["polling"]) as runner:
            return await report(runner)

    made = asyncio.run(main())
    assert made["enforcement"] == ["polling", "own session", "subreaper"]
    assert (made["oom_group"], made["pressure"]) == (False, [])


def test_a_means_that_is_not_known_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with Runner(home=tmp_path, guard="pooling"):
            pass

    with pytest.raises(UsageError, match="pooling"):
        asyncio.run(main())
    asyncio.run(entered(tmp_path))  # the home is free again


async def entered(home: Path) -> None:
    async with Runner(home=home, guard="polling"):
        pass


def test_more_is_kept_free_where_the_kernel_kills_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Runner("4G").budget.headroom == HEADROOM
    (tmp_path / "memory.oom.group").write_text("1\n")
    monkeypatch.setattr(module, "own_groups", lambda: [Group(tmp_path, 2, "/app", top=True)])
    assert Runner("4G").budget.headroom == 2 * HEADROOM
