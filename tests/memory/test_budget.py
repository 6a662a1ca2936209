"""The budget by example; its invariants over random histories are in test_budget_properties."""

import asyncio
import threading

import pytest
from stand_ins import FakeClock, FakeMachine

from narrowboat.errors import CannotFit
from narrowboat.memory.budget import AGED_AFTER_S, HEADROOM, LEND_AFTER_S, PATIENCE_S, Budget
from narrowboat.sizes import MIB
from narrowboat.values import Demand


def make(free_mib: int, cores: int = 2) -> tuple[Budget, FakeMachine, FakeClock]:
    """A budget with that much to reserve."""
    machine, clock = FakeMachine(0), FakeClock()
    machine.size = machine.supervisor + HEADROOM + free_mib * MIB
    budget = Budget(cores=cores, machine=machine, clock=clock)
    assert budget.bytes == free_mib * MIB
    return budget, machine, clock


def demand(mib: int, cores: int = 0, **more: int) -> Demand:
    return Demand(mib * MIB, cores, **more)


def test_what_fits_is_granted_at_once_and_given_back_by_scope() -> None:
    budget, _, _ = make(100)
    with budget.request(demand(60)).result(0) as held:
        assert held.bytes == 60 * MIB
        assert budget.snapshot().reserved == 60 * MIB
        assert not budget.request(demand(60)).done()
    assert budget.snapshot().reserved == 60 * MIB  # the second has it now


def test_a_release_wakes_who_waits() -> None:
    budget, _, _ = make(100)
    first = budget.request(demand(80)).result(0)
    second = budget.request(demand(80))
    assert not second.done()
    first.release()
    assert second.result(0).bytes == 80 * MIB


def test_a_second_release_does_nothing() -> None:
    budget, _, _ = make(100)
    held = budget.request(demand(80)).result(0)
    held.release()
    held.release()
    assert budget.snapshot().reserved == 0


def test_small_ones_pass_a_large_one_until_it_has_aged() -> None:
    budget, _, clock = make(100)
    first = budget.request(demand(50)).result(0)
    large = budget.request(demand(90))
    assert budget.request(demand(20)).done()
    clock.now += AGED_AFTER_S
    late = budget.request(demand(20))
    assert not late.done()
    first.release()
    assert not large.done()
    assert not late.done()


def test_an_aged_large_one_goes_first_when_there_is_room() -> None:
    budget, _, clock = make(100)
    first = budget.request(demand(50)).result(0)
    large = budget.request(demand(90))
    clock.now += AGED_AFTER_S
    small = budget.request(demand(20))
    first.release()
    assert large.done()
    assert not small.done()


def test_those_that_fit_beside_an_aged_one_still_pass() -> None:
    budget, _, clock = make(100, cores=1)
    budget.request(demand(10, cores=1)).result(0)
    budget.request(demand(30, cores=1))  # waits for the core
    clock.now += AGED_AFTER_S
    assert budget.request(demand(50)).done()
    assert not budget.request(demand(20)).done()


def test_a_declared_demand_above_everything_is_refused_at_once_with_numbers() -> None:
    budget, _, _ = make(100)
    with pytest.raises(CannotFit) as caught:
        budget.request(demand(200), label="a large step").result(0)
    error = caught.value
    assert "a large step" in error.message
    assert "200 MiB" in error.message
    assert error.facts["demand_bytes"] == 200 * MIB
    assert error.facts["needed_limit_bytes"] > budget.limit.bytes
    assert error.hint is not None


def test_the_limit_that_a_refusal_asks_for_would_do() -> None:
    budget, _, _ = make(100)
    with pytest.raises(CannotFit) as caught:
        budget.request(demand(200)).result(0)
    larger = Budget(cores=2, machine=FakeMachine(caught.value.facts["needed_limit_bytes"]))
    assert larger.request(demand(200)).done()


def test_a_learned_demand_above_everything_is_clipped_and_runs_alone() -> None:
    budget, _, _ = make(100)
    first = budget.request(demand(10)).result(0)
    learned = budget.request(demand(500), learned=True)
    assert not learned.done()
    first.release()
    assert learned.result(0).bytes == 100 * MIB
    assert not budget.request(demand(1)).done()


def test_others_shrink_the_budget_and_give_it_back() -> None:
    budget, machine, _ = make(100)
    machine.others = 60 * MIB
    budget.refresh()
    waiting = budget.request(demand(80))
    assert not waiting.done()
    machine.others = 0
    budget.refresh()
    assert waiting.done()


def test_one_who_waits_for_others_to_leave_keeps_nobody_behind() -> None:
    budget, machine, clock = make(100)
    machine.others = 60 * MIB
    budget.refresh()
    assert not budget.request(demand(80)).done()
    clock.now += AGED_AFTER_S
    assert budget.request(demand(30)).done()


def test_who_only_others_keep_from_fitting_is_refused_after_patience() -> None:
    budget, machine, clock = make(100)
    machine.others = 60 * MIB
    budget.refresh()
    waiting = budget.request(demand(80))
    clock.now += PATIENCE_S - 1
    budget.refresh()
    assert not waiting.done()
    clock.now += 2
    budget.refresh()
    with pytest.raises(CannotFit, match="others use"):
        waiting.result(0)


def test_cores_are_shared_out_too_and_remote_work_needs_none() -> None:
    budget, _, _ = make(100, cores=2)
    first = budget.request(demand(1, cores=2)).result(0)
    assert not budget.request(demand(1, cores=1)).done()
    assert budget.request(demand(1, cores=0)).done()
    first.release()


def test_more_cores_than_there_are_means_all_of_them() -> None:
    budget, _, _ = make(100, cores=2)
    assert budget.request(demand(1, cores=16)).result(0).cores == 2


def test_idle_cores_are_lent_and_called_back() -> None:
    budget, _, clock = make(100, cores=2)
    told: list[int] = []
    lone = budget.request(demand(40, cores=1, most_cores=8, bytes_per_core=10 * MIB)).result(0)
    lone.on_cores = told.append
    budget.refresh()
    assert lone.cores == 1  # not before it has been quiet for a while
    clock.now += LEND_AFTER_S
    budget.refresh()
    assert (lone.cores, lone.bytes, told) == (2, 50 * MIB, [2])
    other = budget.request(demand(10, cores=1))
    assert told == [2, 1]
    assert not other.done()  # the core is still busy
    lone.give_back_cores()
    assert other.done()
    assert lone.bytes == 50 * MIB  # memory stays until the attempt ends


def test_a_core_is_not_lent_where_its_memory_does_not_fit() -> None:
    budget, _, clock = make(100, cores=2)
    lone = budget.request(demand(95, cores=1, most_cores=2, bytes_per_core=10 * MIB)).result(0)
    clock.now += LEND_AFTER_S
    budget.refresh()
    assert lone.cores == 1


def test_a_reservation_can_be_resized_where_there_is_room() -> None:
    budget, _, _ = make(100)
    held = budget.request(demand(40)).result(0)
    assert held.resize(90 * MIB)
    assert not held.resize(120 * MIB)
    assert held.bytes == 90 * MIB
    waiting = budget.request(demand(50))
    assert held.resize(20 * MIB)
    assert waiting.done()


def test_cancelling_stops_the_wait() -> None:
    budget, _, _ = make(100)
    first = budget.request(demand(80)).result(0)
    second, third = budget.request(demand(80)), budget.request(demand(80))
    assert second.cancel()
    first.release()
    assert third.done()


def test_reserve_from_threads_never_passes_the_budget() -> None:
    budget, _, _ = make(100)
    seen: list[int] = []

    def work() -> None:
        for _ in range(50):
            with budget.reserve("30M", timeout=30):
                seen.append(budget.snapshot().reserved)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 400
    assert max(seen) <= 90 * MIB
    assert budget.snapshot().reserved == 0


def test_reserve_times_out_and_leaves_nothing() -> None:
    budget, _, _ = make(100)
    with budget.reserve("80M"):
        with pytest.raises(TimeoutError), budget.reserve("80M", timeout=0.01):
            pass
        assert budget.snapshot().waiting == 0
    assert budget.snapshot().reserved == 0


def test_async_reserve_waits_without_blocking_the_loop() -> None:
    budget, _, _ = make(100)
    order: list[str] = []

    async def first(holding: asyncio.Event, leave: asyncio.Event) -> None:
        async with budget.reserve("80M"):
            holding.set()
            await leave.wait()
            order.append("first")

    async def second(leave: asyncio.Event) -> None:
        asyncio.get_running_loop().call_soon(leave.set)
        async with budget.reserve("80M"):
            order.append("second")

    async def main() -> None:
        holding, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(first(holding, leave))
        await holding.wait()
        await second(leave)
        await task

    asyncio.run(main())
    assert order == ["first", "second"]
    assert budget.snapshot().reserved == 0


def test_a_cancelled_async_wait_leaves_nothing() -> None:
    budget, _, _ = make(100)

    async def main() -> None:
        async with budget.reserve("80M"):
            with pytest.raises(TimeoutError):
                async with budget.reserve("80M", timeout=0.01):
                    pass
        assert budget.snapshot().waiting == 0

    asyncio.run(main())
    assert budget.snapshot().reserved == 0


def test_what_is_reserved_in_this_process_is_not_counted_twice() -> None:
    budget, machine, _ = make(200)
    with budget.reserve("100M"):
        machine.supervisor += 80 * MIB
        budget.refresh()
        assert budget.bytes == 200 * MIB
        machine.supervisor += 40 * MIB  # 20 more than was reserved
        budget.refresh()
        assert budget.bytes == 180 * MIB
    budget.refresh()
    assert budget.bytes == 80 * MIB  # given back, but still in use


def test_headroom_is_kept() -> None:
    machine = FakeMachine(512 * MIB)
    budget = Budget(cores=1, machine=machine)
    assert budget.bytes <= 512 * MIB - HEADROOM


# -- idle workers ---------------------------------------------------------------------------------------------------


class Idle:
    """Parks what it holds, and goes when it is told to."""

    def __init__(self, budget: Budget, mib: int, kind: str, size: int | None = None) -> None:
        self.told = 0
        held = budget.request(demand(mib), kind=kind).result(0)
        self.parked = budget.park(held, kind, (size or mib) * MIB, holder=self, recall=self._told)

    def _told(self) -> None:
        self.told += 1

    def leave(self) -> None:
        self.parked.release()


def test_an_idle_worker_is_taken_over_by_the_next_of_its_kind() -> None:
    budget, _, _ = make(300)
    idle = Idle(budget, 200, "a", size=150)
    assert (budget.snapshot().reserved, budget.snapshot().idle, budget.snapshot().cores_reserved) == (
        150 * MIB,
        150 * MIB,
        0,
    )
    taken = budget.request(demand(200), kind="a").result(0)
    assert taken.takes is idle.parked
    assert (taken.bytes, budget.snapshot().reserved, budget.snapshot().idle) == (200 * MIB, 200 * MIB, 0)
    assert idle.told == 0


def test_an_idle_worker_goes_when_its_room_is_needed_and_only_then() -> None:
    budget, _, _ = make(300)
    old, new = Idle(budget, 80, "a"), Idle(budget, 80, "b")
    small = budget.request(demand(100), kind="c").result(0)
    assert (old.told, new.told) == (0, 0)
    large = budget.request(demand(120), kind="c")
    assert (old.told, new.told, large.done()) == (1, 0, False)  # the least recently used one is enough
    old.leave()
    assert large.result(0).bytes == 120 * MIB
    small.release()


def test_idle_workers_stay_when_their_going_would_not_help() -> None:
    budget, _, _ = make(300)
    idle = Idle(budget, 80, "a")
    busy = budget.request(demand(150), kind="b").result(0)
    large = budget.request(demand(250), kind="b")
    assert idle.told == 0
    busy.release()
    assert idle.told == 1
    idle.leave()
    assert large.done()


def test_a_larger_request_of_the_same_kind_takes_its_worker_over_and_sends_another_away() -> None:
    budget, _, _ = make(300)
    same, other = Idle(budget, 150, "a"), Idle(budget, 100, "b")
    wanted = budget.request(demand(250), kind="a")
    assert (same.told, other.told) == (0, 1)
    other.leave()
    assert wanted.result(0).takes is same.parked


def test_one_whose_base_has_outgrown_the_request_is_not_taken_over() -> None:
    budget, _, _ = make(300)
    idle = Idle(budget, 200, "a")
    taken = budget.request(demand(60), kind="a").result(0)
    assert taken.takes is None
    assert idle.told == 0


def test_a_learned_demand_above_everything_waits_until_the_idle_have_gone() -> None:
    budget, _, _ = make(300)
    idle = Idle(budget, 100, "a")
    clipped = budget.request(demand(900), learned=True)
    assert (idle.told, clipped.done()) == (1, False)
    idle.leave()
    assert clipped.result(0).bytes == 300 * MIB


def test_when_others_grow_idle_workers_make_room() -> None:
    machine = FakeMachine(300 * MIB + HEADROOM + 20 * MIB)
    budget = Budget(machine=machine, cores=4, clock=FakeClock())
    idle = Idle(budget, 200, "a")
    machine.others = 150 * MIB
    budget.refresh()
    assert idle.told == 1
    budget.refresh()
    assert idle.told == 1  # asked once


def test_what_was_taken_over_and_never_used_is_idle_again() -> None:
    budget, _, _ = make(300)
    idle = Idle(budget, 100, "a")
    budget.request(demand(200), kind="a").result(0).release()
    assert budget.snapshot().idle == 100 * MIB
    assert budget.request(demand(200), kind="a").result(0).takes is idle.parked


def test_a_pause_lets_what_runs_run_and_never_stops_everything() -> None:
    budget, _, _ = make(300)
    first = budget.request(demand(50)).result(0)
    budget.pause("used 290 of 300 MiB")
    second, third = budget.request(demand(50)), budget.request(demand(50))
    assert (second.done(), budget.snapshot().paused) == (False, "used 290 of 300 MiB")
    first.release()
    assert (second.done(), third.done()) == (True, False)  # one at a time
    budget.resume()
    assert third.done()


def test_idle_workers_go_before_one_is_refused_that_only_others_keep_from_fitting() -> None:
    budget, machine, clock = make(100)
    idle = Idle(budget, 5, "a")
    machine.others = 60 * MIB  # some of it are the idle worker's own copies of pages that it was forked with
    budget.refresh()
    waiting = budget.request(demand(80))
    clock.now += PATIENCE_S + 1
    budget.refresh()
    assert idle.parked.recalled
    assert not waiting.done()
    machine.others = 0
    idle.parked.release()
    budget.refresh()
    assert waiting.result(0).bytes == 80 * MIB
