"""What goes wrong, and when: a script for the calls in their order, or rules.

Covers: the kinds of faults, reading a script, which fault a call meets. It is the same with the same seed.
Does not cover: carrying a fault out (``server``, ``twists``), how an answer is cut or hung (``http``).

A script is a list with a kind or null for each paid call: ``["503", null, "truncated"]``. A rule is an object among
them: ``{"kind": "429", "wait_s": 2, "op": "upload_chunk", "nth": [1, 3]}``. Rules come first, in their order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Any

#: Operations that are paid for: what a rule is about when it names none.
PAID = {"generate", "stream", "chat", "transcribe", "embed"}
OPERATIONS = PAID | {"count", "models", "upload_start", "upload_chunk", "upload_query", "file_get", "file_list"}
OPERATIONS |= {"file_delete"}

#: What happens to the answer on its way.
DELIVERIES = {"hang", "hang_body", "cut", "cut_headers", "cut_body", "drip"}
#: What the answer is instead. ``truncated``: MAX_TOKENS, half of it. ``cut_json``: half of it, as if it were whole.
#: ``malformed``: a body that is no JSON. ``not_json``: prose where JSON was asked for. ``page``: a proxy's HTML, 502.
#: ``wrong_times`` and ``loop``: of speech, see ``twists``.
ANSWERS = {"truncated", "cut_json", "blocked", "safety", "recitation", "empty", "nothing", "malformed", "not_json"}
ANSWERS |= {"fenced", "page", "wrong_times", "loop"}
#: What becomes of a file that is uploaded (rules for ``upload_start``).
FILES = {"file_failed", "file_stuck"}
#: 429 without a way out: the day's quota, or no credit.
REFUSALS = {"quota_of_the_day"}


@dataclass(slots=True)
class Fault:
    """One fault, and the calls that meet it: all those that fit ``op`` and ``match``, if nothing narrows them.

    Attributes:
        kind: a status such as ``503``, or a word of those above.
        op: an operation; ``answer``: everything that is paid for.
        match: a text that stands in the question, the model's name, or the name of a file.
        nth: which of the calls that fit, from 1.
        every: each so many-th of them.
        times: at most so often.
        share: with this probability.
        wait_s: what RetryInfo or Retry-After says, in seconds; 0: nothing. Without it 429 says 1, and others nothing.
        drip_s: seconds between the bytes that drip.
        late: of what is not paid for: it is done, and then the answer is a status or breaks. A paid call's answer
            always breaks after the work.
    """

    kind: str
    op: str = "answer"
    match: str | None = None
    nth: list[int] | None = None
    every: int | None = None
    times: int | None = None
    share: float | None = None
    wait_s: float | None = None
    drip_s: float = 0.05
    late: bool = False
    seen: int = 0
    met: int = 0

    def __post_init__(self) -> None:
        known = DELIVERIES | ANSWERS | FILES | REFUSALS
        if self.kind not in known and not (self.kind.isdecimal() and 400 <= int(self.kind) <= 599):
            raise ValueError(f"there is no fault {self.kind}: a status from 400 to 599, or {', '.join(sorted(known))}")
        if self.op not in OPERATIONS | {"answer"}:
            raise ValueError(f"there is no operation {self.op}: answer, {', '.join(sorted(OPERATIONS))}")
        if isinstance(self.nth, int):
            self.nth = [self.nth]

    @property
    def status(self) -> int | None:
        """The HTTP status that is answered, if it is that kind of fault."""
        return 429 if self.kind in REFUSALS else int(self.kind) if self.kind.isdecimal() else None

    def fits(self, op: str, text: str) -> bool:
        """Whether a call is among those that the rule is about."""
        right = op in PAID if self.op == "answer" else op == self.op
        return right and (self.match is None or self.match in text)

    def strikes(self, chance: random.Random) -> bool:
        """Whether the next call that fits meets it; counts it."""
        self.seen += 1
        if self.nth is not None and self.seen not in self.nth:
            return False
        if self.every is not None and self.seen % self.every:
            return False
        if self.times is not None and self.met >= self.times:
            return False
        if self.share is not None and chance.random() >= self.share:
            return False
        self.met += 1
        return True


class Faults:
    """All faults that are set."""

    def __init__(self, faults: list[Fault], seed: int) -> None:
        self.faults = faults
        self._chance = random.Random(seed)

    def meet(self, op: str, text: str = "") -> Fault | None:
        """The fault that this call meets. Every rule that fits counts the call, whichever strikes."""
        struck = [fault for fault in self.faults if fault.fits(op, text) and fault.strikes(self._chance)]
        return struck[0] if struck else None


def faults_of(script: list[Any]) -> list[Fault]:
    """Read a script.

    Raises:
        ValueError: it has a kind, an operation or a field that there is not.
    """
    if not isinstance(script, list):
        raise ValueError("faults are a list")
    names = {one.name for one in fields(Fault)} - {"seen", "met"}
    rules, nth = [], 0
    for one in script:
        if isinstance(one, dict):
            if wrong := set(one) - names:
                raise ValueError(f"a fault has no {', '.join(sorted(wrong))}; it has {', '.join(sorted(names))}")
            rules.append(Fault(**{**one, "kind": str(one.get("kind"))}))
            continue
        nth += 1
        if one is not None:
            rules.append(Fault(str(one), nth=[nth]))
    return rules
