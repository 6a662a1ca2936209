"""One call of a remote engine to its end, through as many tries as the rules allow.

Covers: whose turn it is, room for the call, what it says on its way, and what follows from how it ended: another try
with backoff, a pause for all calls of the key, the end. The rules are those of docs/engines.md.
Does not cover: the worker that all calls share (``clients``), steps that have a worker of their own (``attempts``),
what is left in a remote store (``leftovers``).
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

from narrowboat.errors import Interrupted, NarrowboatError, RemoteError, from_json
from narrowboat.journal.rows import RemoteFileRow
from narrowboat.memory.reservation import Reservation
from narrowboat.runner.clients import Shared
from narrowboat.runner.lanes import CALLS
from narrowboat.runner.records import Record
from narrowboat.runner.status import Live
from narrowboat.runner.steps import Step
from narrowboat.runner.workshop import Workshop
from narrowboat.values import Facts, Json
from narrowboat.workers.calls import Calls, Conversation
from narrowboat.workers.ending import Ending
from narrowboat.workers.protocol import Call

#: Tries of a call that fails for now. Those that the quota refuses count only while no call of the key gets through.
TRIES = 5
#: Seconds before the second try, doubled with each, and the most of it.
BACKOFF_S, MOST_BACKOFF_S = 1.0, 60.0
#: The share of a wait that chance may add, so that those who failed together don't come back together.
JITTER = 0.3
#: Seconds after which a call that has not given up by itself is given up: longer than an engine's own limit.
CALL_S = 660.0
#: Seconds that it then gets to end, before its worker is killed.
GIVE_UP_S = 30.0
#: Tries that the quota refuses, in all, whoever else gets through.
MOST_REFUSALS = 100


class CallRun:
    """One call of one job on its way; iterate nothing, await :meth:`result`."""

    def __init__(
        self,
        shop: Workshop,
        step: Step,
        record: Record,
        live: Live,
        *,
        given: Json,
        facts: Facts,
        scratch: Path,
        clears: bool = False,
    ) -> None:
        assert step.client is not None
        self._shop = shop
        self._step = step
        self._record = record
        self._live = live
        self._given = given
        self._demand = step.demand(facts)
        self._scratch = scratch
        self._clears = clears  # it removes what others have left: also when the run is being stopped
        self._shared: Shared = shop.clients.of(step.client)
        self._time_limit = step.time_limit or shop.time_limit or CALL_S
        self._label = f"{step.name} of {live.source}" if live.source else step.name

    async def result(self) -> Json:
        """Try until it is done; its result.

        Raises:
            CannotFit: the client, or the call, is more than the whole budget.
            RemoteError: it failed for now, five times.
            EngineError: the engine will not do it.
            WorkerDied, Overrun: the shared worker ended again and again.
            Interrupted: the run is being stopped.
            NarrowboatError: what else the step raised.
        """
        tries = refusals = 0
        while not self._record.done:
            self._check()
            passed = self._shared.passed
            ending = await self._try()
            if ending is None:
                continue  # the worker ended with all its calls: through no fault of this one
            if ending.outcome == "done":
                await self._record.finish(ending.result)
                break
            if not isinstance(ending.error, RemoteError):
                assert ending.error is not None
                raise ending.error
            refusals += bool(ending.error.facts.get("quota"))
            if ending.error.facts.get("quota") and self._shared.passed > passed and refusals < MOST_REFUSALS:
                tries = 0
            tries += 1
            await self._wait(ending.error, tries)
        return self._record.result

    def _check(self) -> None:
        if self._shop.stopping and not self._clears:
            raise Interrupted("the run was stopped; committed work is kept")

    async def _wait(self, error: RemoteError, tries: int) -> None:
        if tries >= TRIES:
            raise type(error)(f"{error.message} ({tries} times in a row)", hint=error.hint, **error.facts)
        wait = error.facts.get("wait_s")
        if wait is None:
            wait = min(BACKOFF_S * 2 ** (tries - 1), MOST_BACKOFF_S)
        wait *= 1 + JITTER * random.random()
        self._record.log(f"try {tries} of {TRIES}: {error.message}; the next in {wait:.1f} s")
        if error.facts.get("quota"):
            self._shared.pause(wait)  # and our own turn comes after it
        else:
            await self._shop.stop_asked.sleep(wait)

    async def _try(self) -> Ending | None:
        """One try; None when the worker ended and the call is to be made again."""
        self._live.waiting = self._live.waiting or self._live.calls == 0  # a job with calls at work does not wait
        lanes, client = self._shop.lanes, self._shared.client.name
        async with lanes.enter(CALLS, self._live.id), lanes.enter(client), self._shared.turn():
            self._check()
            calls, reservation = await self._shared.enter(self._demand, self._label)
            self._granted()
            try:
                worker = calls.worker
                await self._record.started(reservation.bytes, 0, self._demand.bytes, worker.pid, worker.ticks)
            except BaseException:
                self._live.calls -= 1
                reservation.release()
                await self._shared.leave()
                raise
            self._shared.hold(reservation, calls)
            conversation = calls.send(self._call())
            # A task of its own: a call whose job is cancelled goes on until it has cleared up behind itself.
            ending = asyncio.create_task(self._converse(calls, conversation, reservation), name="narrowboat-call")
            self._shop.clients.note(ending)
            try:
                return await asyncio.wait_for(asyncio.shield(ending), self._time_limit)
            except TimeoutError:
                conversation.stop()
                asyncio.get_running_loop().call_later(GIVE_UP_S, self._give_up, calls, ending)
                return Ending("failed", error=RemoteError(f"{self._label} gave no answer in time and was given up"))
            except asyncio.CancelledError:
                conversation.stop()
                raise

    def _give_up(self, calls: Calls, ending: asyncio.Task[Ending | None]) -> None:
        """Nothing else ends a thread that does not hear."""
        if not ending.done():
            self._shared.kill(calls)

    def _granted(self) -> None:
        self._live.waiting = False
        self._live.stage = self._step.name
        self._live.calls += 1
        self._shop.granted()

    def _call(self) -> Call:
        return Call(
            function=self._step.function,
            input=self._given,
            scratch=str(self._scratch),
            main_path=self._step.main_path,
            path=self._shop.path,
            heartbeat=self._step.heartbeat,
            allowed_networks=self._shop.allowed_networks,
        )

    async def _converse(self, calls: Calls, conversation: Conversation, reservation: Reservation) -> Ending | None:
        """Hear the call to its end; None when the worker ended before."""
        shared, began = self._shared, time.monotonic()
        ending: Ending | None = None
        try:
            async for frame in conversation.frames():
                ending = await self._heard(frame, conversation)
                if frame["op"] == "error" and frame["memory"]:
                    shared.out_of_memory(calls)
        finally:
            self._live.calls -= 1
            shared.let_go(reservation, calls)
            await shared.leave()
            known = ending or Ending("killed")
            nobodys_alone = 0  # the peak of the shared worker
            await self._record.ended(known.outcome, known.error, nobodys_alone, time.monotonic() - began)
        if ending is None:
            await shared.gone(calls)
        elif ending.outcome == "done":
            shared.well()
        return ending

    async def _heard(self, frame: dict[str, Any], conversation: Conversation) -> Ending | None:
        op = frame["op"]
        if op == "done":
            return Ending("done", result=frame["result"])
        if op == "error" and not frame["memory"]:
            return Ending("failed", error=from_json(frame["error"]))
        if op == "log":
            self._record.log(frame["message"])
        elif op == "room":
            conversation.answer(await self._shop.make_room(frame, self._demand.bytes))
        elif op == "remote_file":
            conversation.answer(await self._note(frame))
        return None

    async def _note(self, frame: dict[str, Any]) -> dict[str, Any] | None:
        assert self._step.client is not None
        journal, name = self._shop.journal, frame["name"]
        try:
            if frame["remove"] is None:
                await journal.remote_file_gone(name)
            else:
                row = RemoteFileRow(name, self._live.id, frame["remove"], frame["given"], self._step.client)
                await journal.add_remote_file(row)
        except NarrowboatError as error:
            return error.to_json()
        return None
