"""The kinds of task that the soak mixes: how each is asked for, how often, and how it may end.

Covers: for each kind the step, the declared demand, the input from a seeded dice, the outcomes that are right.
Does not cover: what the steps do (``attacks``), running them (``soak_run``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import attacks

from narrowboat import Demand, Step

MIB = 1 << 20
#: What a worker uses besides what a step holds, in MiB: the interpreter and what it imports.
BASE = 16
#: The kind that is a small pipeline of three steps; ``soak_run`` has its workflow.
PIPELINE = "pipeline"

DONE = frozenset({"done"})
OVERRUN = frozenset({"overrun"})
DIED = frozenset({"worker_died"})
RAISED = frozenset({"step_failed"})

Given = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """What inputs are made for: the budget and the limit in MiB, and a mark for files outside of scratch."""

    budget: int
    limit: int
    mark: str


@dataclass(frozen=True)
class Kind:
    """One kind of task.

    Attributes:
        make: more of the input, from the dice; ``declare`` is the demand in MiB.
        right: ``done``, or the codes of the errors that it may fail with.
        weight: how often it comes, of a thousand.
        needs: keyword arguments of the step, for instance its heartbeat.
        value: what a plain step must give; None where only the end is looked at.
        items: what a stream must give, in order.
        pids: where in the value the pids of processes are that must be gone soon.
        function: in ``attacks``; by default that of the kind's name.
    """

    name: str
    make: Callable[[Random, Place], Given]
    right: frozenset[str]
    weight: float
    needs: dict[str, Any] = field(default_factory=dict)
    value: Callable[[Given], Any] | None = None
    items: Callable[[Given], list[Any]] | None = None
    pids: slice | None = None
    function: str | None = None

    def step(self) -> Step:
        """The step that is run."""
        return Step(f"attacks:{self.function or self.name}", demand=demand, name=self.name, **self.needs)

    def possible(self) -> bool:
        """False where steps can't be told what this kind needs."""
        return set(self.needs) <= set(inspect.signature(Step.__init__).parameters)


def demand(facts: Any) -> Demand:
    """As the input declares."""
    return Demand(facts["declare"] * MIB)


def _number(given: Given) -> Any:
    return given["n"]


def _items(given: Given, seen: int = 1) -> list[Any]:
    return [attacks.item_value(given["n"], number, seen) for number in range(given["items"])]


def _small(dice: Random, _: Place) -> Given:
    return {"declare": BASE + 8}


def _holding(smallest: int, largest: int, **more: Any) -> Callable[[Random, Place], Given]:
    """Declared as it is: small ones often, large ones seldom."""

    def make(dice: Random, _: Place) -> Given:
        mib = int(smallest + (largest - smallest) * dice.random() ** 3)
        return {"mib": mib, "declare": mib + BASE, **more}

    return make


def _honest(dice: Random, place: Place) -> Given:
    return {**_holding(1, 120)(dice, place), "busy_s": round(0.02 * dice.random(), 4)}


def _stream(dice: Random, place: Place) -> Given:
    return {**_holding(1, 20)(dice, place), "items": dice.randint(1, 20)}


def _disturbed(dice: Random, place: Place) -> Given:
    items = dice.randint(5, 20)
    crash_at = sorted(dice.sample(range(items), dice.randint(0, 2)))
    grow_at = dice.choice([items, dice.randrange(items)])  # often not at all
    return {"declare": BASE + 8, "items": items, "crash_at": crash_at, "grow_at": grow_at, "grow_mib": 60}


def _shared(dice: Random, place: Place) -> Given:
    return {**_holding(4, 40)(dice, place), "mark": place.mark}


def _children(dice: Random, _: Place) -> Given:
    mib = dice.randint(3, 40)
    return {"mib": mib, "declare": mib + 4 * BASE}


def _cached(_: Random, place: Place) -> Given:
    return {"mib": place.limit * 5 // 4, "declare": BASE + 8}


def _hogging(dice: Random, place: Place) -> Given:
    """Without end, from a reservation that is small or large: a small one is tried again with twice as much, often."""
    declare = dice.choice([BASE + 8, place.budget // 4, place.budget // 2, place.budget * 9 // 10])
    return {"mib": 4 * place.limit, "declare": declare, "mark": place.mark}


def _liar_small(dice: Random, _: Place) -> Given:
    return {"mib": 60, "declare": BASE}


def _liar_large(_: Random, place: Place) -> Given:
    return {"mib": 5, "declare": place.budget * 9 // 10}


def _jump(dice: Random, place: Place) -> Given:
    return {"mib": dice.randint(place.budget // 3, place.budget * 3 // 4), "declare": BASE + 8}


def _impossible(_: Random, place: Place) -> Given:
    return {"mib": 5, "declare": 2 * place.limit}


_SOON = {"heartbeat": 1.0}

KINDS = [
    Kind("honest", _honest, DONE, 700, value=attacks.honest_sum),
    Kind("honest_stream", _stream, DONE, 60, items=_items),
    Kind("disturbed_stream", _disturbed, DONE, 15, items=_items),
    Kind(PIPELINE, _disturbed, DONE, 20),
    Kind("page_cache", _cached, DONE, 0.5, value=_number),
    Kind("shared_file", _shared, DONE, 5, value=_number),
    Kind("children", _children, DONE, 8, value=_number),
    Kind("fork_storm", _small, DONE, 3, value=_number),
    Kind("thread_storm", _small, DONE, 5, value=_number),
    Kind("garbage", _small, DONE, 5, value=_number),
    Kind("leaks_a_bit", _holding(4, 6), DONE, 15, value=_number),
    Kind("leaves_daemon", _small, DONE, 5, pids=slice(1, None)),
    Kind("leaves_child", _small, DONE, 5, pids=slice(1, None)),
    Kind("liar_small", _liar_small, DONE, 5, value=_number, function="liar"),
    Kind("liar_large", _liar_large, DONE, 2, value=_number, function="liar"),
    Kind("jump", _jump, DONE, 1, value=_number),
    Kind("impossible", _impossible, frozenset({"cannot_fit"}), 5, function="liar"),
    Kind("hog_blocks", _hogging, OVERRUN, 0.7),
    Kind("hog_native", _hogging, OVERRUN, 0.7),
    Kind("hog_private", _hogging, OVERRUN, 0.7),
    Kind("hog_shared", _hogging, OVERRUN, 0.7),
    Kind("hog_populate", _hogging, OVERRUN, 0.7),
    Kind("hog_memfd", _hogging, OVERRUN, 0.7),
    Kind("hog_shm", _hogging, OVERRUN, 0.7),
    Kind("hog_despite_term", _hogging, OVERRUN, 0.7),
    Kind("hog_child", _hogging, OVERRUN, 0.7),
    Kind("hog_daemon", _hogging, OVERRUN, 0.7),
    Kind("leak", _hogging, OVERRUN, 0.7),
    Kind("segfault", _small, DIED, 5),
    Kind("aborts", _small, DIED, 5),
    Kind("killed", _small, DIED, 5),
    Kind("exits", _small, DIED, 5),
    Kind("system_exit", _small, RAISED, 5),
    Kind("raises", _small, RAISED, 10),
    Kind("raises_late", _small, RAISED, 5),
    Kind("recursion", _small, RAISED, 5),
    Kind("memory_error", _small, OVERRUN, 0.7),
    Kind("not_json", _small, RAISED, 5),
    Kind("item_not_json", _small, RAISED, 5),
    Kind("huge_item", lambda dice, place: {"declare": BASE + 48}, RAISED, 3),
    Kind("closes_all", _small, DIED, 3),
    Kind("closes_all_and_stays", _small, DIED, 0.5),
    Kind("scribbles", _small, DIED, 0.5),
    Kind("stops_itself", _small, DIED, 0.3, needs=_SOON),
    Kind("stops_itself_once", _small, DONE, 1, needs=_SOON, value=_number),
    Kind("never_ends", _small, frozenset({"time_limit"}), 0.5, needs={"time_limit": 1.0}),
]
BY_NAME = {kind.name: kind for kind in KINDS}


def mix(seed: int, count: int, kinds: list[Kind], place: Place) -> Any:
    """The tasks in their order: kind and input. Each kind comes once before the dice decide, as far as ``count`` goes.

    The same seed gives the same tasks.
    """
    dice = Random(seed)
    first = dice.sample(kinds, len(kinds))
    weights = [kind.weight for kind in kinds]
    for n in range(count):
        kind = first[n] if n < len(first) else dice.choices(kinds, weights)[0]
        yield kind, {"n": n, **kind.make(dice, place)}
