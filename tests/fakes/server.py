"""The fakes as one server: who asks, what goes wrong, and what is seen of it.

Covers: one request from its address to its answer: vendor and operation, key, log, faults, quota, latency; control.
Does not cover: the vendors' requests and answers (``gemini_routes``, ``openai_routes``), sockets (``http``).
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fakes import gemini_routes, openai_routes
from fakes.answers import Answers
from fakes.faults import DELIVERIES, PAID, Fault
from fakes.http import Gone, Request, Response, Server, json_response
from fakes.log import Log, key_of
from fakes.questions import Question
from fakes.refusals import Refusal, gemini_error, openai_error
from fakes.store import Store
from fakes.switches import MIB, NoSuchSwitch, Switches

MALFORMED = b'{"candidates": [{"content": {"parts": [{"te'
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(slots=True)
class Call:
    """One request of a client on its way."""

    request: Request
    vendor: str
    op: str
    args: dict[str, str]
    key: str | None
    entry: dict[str, Any]
    gone: Callable[[], bool]
    fault: Fault | None = None


class _Broken(Exception):
    """The connection breaks before anything is done."""


class Quota:
    """Calls of each key in the last window."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._calls: dict[str | None, deque[float]] = {}

    def clear(self) -> None:
        self._calls.clear()

    def take(self, key: str | None, now: float) -> tuple[int, float]:
        """Count a call; how many are left, and in how many seconds there is another when there are none (-1 left)."""
        most, window = self._switches.quota, self._switches.quota_window_s
        if most is None:
            return 10_000, 0.0
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= most:
            return -1, (calls[-most] + window - now) if most else window
        calls.append(now)
        return most - len(calls), window


class Fake:
    """A running fake of both vendors; ``folder`` is for what is uploaded."""

    def __init__(self, folder: Path) -> None:
        self.switches = Switches()
        self.store = Store(folder, self.switches)
        self.log = Log()
        self.answers = Answers(self.switches)
        self.quota = Quota(self.switches)
        self.server = Server(self._handle)
        self.paid = {"now": 0, "most": 0, "all": 0, "answered": 0}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def _handle(self, request: Request, gone: Callable[[], bool]) -> Response:
        if request.path.startswith("/__"):
            return await self._control(request)
        routed = gemini_routes.route(request) or openai_routes.route(request)
        if routed is None:
            return gemini_error(Refusal(404, f"There is no {request.method} {request.path} here."))
        vendor, op, args = routed
        call = Call(request, vendor, op, args, key_of(request)[0], self.log.add(request, vendor, op), gone)
        outcome, status = "gone", None
        try:
            response = await self._served(call)
            outcome, status = "answered" if response.status == 200 else "refused", response.status
            if call.fault is not None:
                outcome = f"fault {call.fault.kind}"
            self.paid["answered"] += outcome == "answered" and "question" in call.entry
            return response
        finally:
            self.log.ended(call.entry, outcome, status)

    async def _served(self, call: Call) -> Response:
        serve, shape = {
            "gemini": (gemini_routes.serve, gemini_error),
            "openai": (openai_routes.serve, openai_error),
        }[call.vendor]
        try:
            response = await serve(self, call)
            if call.fault is not None and call.fault.status is not None:  # a late one
                response = shape(_refusal(call, call.fault))
        except Refusal as refusal:
            refusal.model = refusal.model or call.args.get("model", "")
            response = shape(refusal)
        except _Broken:
            response = Response()
        except (Gone, ConnectionError):
            raise
        except Exception:
            call.entry["bug"] = traceback.format_exc()
            response = shape(Refusal(500, "The fakes have a bug: see their log."))
        return _delivered(response, call.fault)

    # -- what every call goes through -----------------------------------------------------------------------------

    def meet(self, call: Call, text: str = "") -> None:
        """Meet the fault that is due, if one is.

        Raises:
            Refusal: it is a status.
            _Broken: the connection breaks before anything is done.
        """
        call.fault = fault = self.switches.faults.meet(call.op, text)
        if fault is None or (fault.late and call.op not in PAID):
            return
        if fault.kind in ("hang", "cut") and call.op not in PAID:
            raise _Broken
        if fault.status is not None:
            raise _refusal(call, fault)

    async def pay(self, call: Call, question: Question) -> None:
        """All that comes between a question and its answer: log, fault, quota, latency.

        Raises:
            Refusal: it is not answered.
            Gone: the client does not wait any longer.
        """
        call.entry["question"] = question.public()
        self.paid["all"] += 1
        self.paid["now"] += 1
        self.paid["most"] = max(self.paid["most"], self.paid["now"])
        try:
            self.meet(call, question.matched)
            if self.switches.at_once is not None and self.paid["now"] > self.switches.at_once:
                raise Refusal(429, quota=(self.switches.at_once, "Minute"))
            left, wait = self.quota.take(call.key, asyncio.get_running_loop().time() + self.switches.clock_s)
            if left < 0:
                quota = (self.switches.quota or 0, "Minute")
                raise Refusal(429, wait_s=round(wait, 3), quota=quota, headers=_rates(call, quota[0], 0, wait))
            call.entry["quota_left"] = left
            size = sum(file.size for file in question.files) + len(question.text)
            await asyncio.sleep(self.switches.latency_s + self.switches.latency_per_mb_s * size / MIB)
            if call.gone():
                raise Gone
        finally:
            self.paid["now"] -= 1

    # -- control --------------------------------------------------------------------------------------------------

    async def _control(self, request: Request) -> Response:
        body = await request.body.read(64 * MIB) or b"{}"
        match request.path:
            case "/__log":
                return json_response(list(self.log.entries))
            case "/__files":
                return json_response([file.public() for file in self.store.files.values()])
            case "/__state":
                return json_response(self._state())
            case "/__reset" if request.method == "POST":
                await self.reset()
            case "/__set" if request.method == "POST":
                try:
                    self.change(json.loads(body))
                except ValueError as error:  # NoSuchSwitch, and what is no JSON
                    return json_response({"error": str(error)}, 400)
            case _:
                return json_response({"error": f"there is no {request.method} {request.path}"}, 404)
        return json_response({})

    def change(self, values: dict[str, Any]) -> None:
        """Set switches.

        Raises:
            NoSuchSwitch: see ``Switches.change``.
        """
        if not isinstance(values, dict):
            raise NoSuchSwitch("switches are an object")
        self.switches.change(values)
        if "answer" in values:
            self.answers.restart()

    async def reset(self) -> None:
        """As at the start: no files, no log, switches as they are when nobody says anything."""
        await self.server.drop(but=asyncio.current_task())
        self.switches.change({**asdict(Switches()), "faults": []})
        self.store.clear()
        self.quota.clear()
        self.answers.restart()
        self.log.entries.clear()
        self.paid.update(now=0, most=0, all=0, answered=0)

    def _state(self) -> dict[str, Any]:
        files = list(self.store.files.values())
        return {
            "paid": self.paid,
            "connections": len(self.server.connections),
            "requests": self.log.count,
            "files": {"now": len(files), "most": self.store.most_files, "bytes": sum(file.size for file in files)},
            "uploads": len(self.store.uploads),
            "bytes_taken": self.store.bytes_taken,
            "peak_rss_mib": _peak_kib() >> 10,
        }


def _delivered(response: Response, fault: Fault | None) -> Response:
    """The answer as a fault lets it out."""
    if fault is None:
        return response
    if fault.kind == "malformed":
        return Response(200, MALFORMED, {"Content-Type": "application/json; charset=UTF-8"})
    if fault.kind == "page":
        return Response(502, PAGE, {"Content-Type": "text/html"})
    if fault.kind in DELIVERIES:
        response.delivery, response.drip_s = fault.kind, fault.drip_s  # type: ignore[assignment]
    return response


def _refusal(call: Call, fault: Fault) -> Refusal:
    usual = 1.0 if fault.kind == "429" else None
    wait = usual if fault.wait_s is None else fault.wait_s or None
    if fault.kind == "quota_of_the_day":
        no_credit = "insufficient_quota" if call.vendor == "openai" else None
        return Refusal(429, reason=no_credit, quota=(50, "Day"), wait_s=wait)
    return Refusal(fault.status or 500, wait_s=wait)


def _rates(call: Call, most: int, left: int, reset_s: float) -> dict[str, str]:
    if call.vendor != "openai":
        return {}
    named = {"limit": str(most), "remaining": str(left), "reset": f"{reset_s:.3f}s"}
    return {f"x-ratelimit-{name}-requests": text for name, text in named.items()}


def _peak_kib() -> int:
    """The most that this process has had resident; not getrusage, which counts the parent's before the exec too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
