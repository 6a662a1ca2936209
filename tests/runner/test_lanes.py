"""Lanes: never more than the limit, first come first served, and nobody is lost when one gives up."""

from __future__ import annotations

import asyncio
import random

import pytest

from narrowboat.errors import UsageError
from narrowboat.runner.lanes import Lanes


class Road:
    """Tasks that enter a lane, say so, and stay until they are told to go."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.inside: list[str] = []
        self.order: list[str] = []
        self.most = 0
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def arrive(self, who: str, lane: str = "downloads", of: str = "") -> None:
        self.gates[who] = asyncio.Event()
        self.tasks[who] = asyncio.create_task(self._drive(who, lane, of))
        await settled()

    async def _drive(self, who: str, lane: str, of: str) -> None:
        async with self.lanes.enter(lane, of):
            self.inside.append(who)
            self.order.append(who)
            self.most = max(self.most, len(self.inside))
            try:
                await self.gates[who].wait()
            finally:
                self.inside.remove(who)

    async def go(self, who: str) -> None:
        self.gates[who].set()
        await self.tasks[who]
        await settled()


async def settled() -> None:
    """Let every task run until all of them wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_no_more_than_the_limit_and_first_come_first_served() -> None:
    async def main() -> None:
        road = Road(Lanes({"downloads": 2}))
        for who in "abcde":
            await road.arrive(who)
        assert (road.inside, road.lanes.waiting("downloads")) == (["a", "b"], 3)
        await road.go("b")
        assert road.inside == ["a", "c"]
        for who in "acde":
            await road.go(who)
        assert (road.order, road.most) == (list("abcde"), 2)
        assert road.lanes.has_room("downloads")

    asyncio.run(main())


def test_one_who_comes_when_a_place_is_given_on_does_not_pass_those_who_wait() -> None:
    async def main() -> None:
        road = Road(Lanes({"downloads": 1}))
        await road.arrive("first")
        await road.arrive("second")
        road.gates["first"].set()
        await road.tasks["first"]  # second holds the place, and has perhaps not run yet
        assert not road.lanes.has_room("downloads")
        await road.arrive("third")
        assert road.inside == ["second"]
        await road.go("second")
        await road.go("third")
        assert road.order == ["first", "second", "third"]

    asyncio.run(main())


def test_one_who_gives_up_waiting_holds_nobody_up() -> None:
    async def main() -> None:
        road = Road(Lanes({"downloads": 1}))
        for who in "abc":
            await road.arrive(who)
        road.tasks["b"].cancel()
        await settled()
        await road.go("a")
        assert road.inside == ["c"]
        await road.go("c")
        assert road.lanes.has_room("downloads")

    asyncio.run(main())


def test_one_who_is_let_in_and_cancelled_at_once_passes_the_place_on() -> None:
    async def main() -> None:
        lanes = Lanes({"downloads": 1})
        road = Road(lanes)
        for who in "bc":
            lanes.take("downloads") if who == "b" else None
            await road.arrive(who)
        lanes.leave("downloads")  # b's turn, but it has not run yet
        road.tasks["b"].cancel()
        await settled()
        assert road.inside == ["c"]
        assert road.order == ["c"]
        await road.go("c")
        assert lanes.has_room("downloads")

    asyncio.run(main())


def test_one_who_gives_up_in_the_moment_in_which_a_place_comes_free_does_not_take_it_along() -> None:
    async def main() -> None:
        road = Road(Lanes({"downloads": 1}))
        for who in "abc":
            await road.arrive(who)
        road.gates["a"].set()  # will leave first
        road.tasks["b"].cancel()  # and finds one that is cancelled, and has not run since
        await settled()
        assert road.inside == ["c"]
        await road.go("c")
        assert road.lanes.has_room("downloads")

    asyncio.run(main())


def test_one_who_fails_inside_leaves() -> None:
    async def main() -> None:
        lanes = Lanes({"downloads": 1})
        with pytest.raises(ZeroDivisionError):
            async with lanes.enter("downloads"):
                _ = 1 / 0
        assert lanes.has_room("downloads")

    asyncio.run(main())


def test_lanes_of_one_name_are_each_for_themselves() -> None:
    async def main() -> None:
        road = Road(Lanes({"calls": 1}))
        await road.arrive("a", "calls", "j0001")
        await road.arrive("b", "calls", "j0002")
        await road.arrive("c", "calls", "j0001")
        assert road.inside == ["a", "b"]
        for who in "abc":
            await road.go(who)

    asyncio.run(main())


def test_without_a_limit_everybody_gets_in_and_nothing_is_kept() -> None:
    async def main() -> None:
        lanes = Lanes({"downloads": None})
        assert lanes.limit("downloads") is None
        assert lanes.enter("downloads") is lanes.enter("batch", "a")  # not even an object each
        road = Road(lanes)
        for number in range(100):
            await road.arrive(str(number))
        assert len(road.inside) == 100
        for number in range(100):
            await road.go(str(number))

    asyncio.run(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nobody_in_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="lets nothing start"):
        Lanes({"downloads": limit})


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_the_limit_holds_and_all_places_come_back(seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        limit = chance.randint(1, 4)
        road = Road(Lanes({"downloads": limit}))
        for number in range(60):
            await road.arrive(str(number))
            assert len(road.inside) == min(limit, sum(not task.done() for task in road.tasks.values()))
            who = chance.choice([name for name, task in road.tasks.items() if not task.done()])
            if chance.random() < 0.4:
                road.tasks[who].cancel()
            elif chance.random() < 0.7:
                road.gates[who].set()
            if chance.random() < 0.7:  # else more happens before anybody has run
                await settled()
        await settled()
        for gate in road.gates.values():
            gate.set()
        await asyncio.gather(*road.tasks.values(), return_exceptions=True)
        assert road.most <= limit
        assert [road.lanes.has_room("downloads"), road.lanes.waiting("downloads")] == [True, 0]

    asyncio.run(main())
