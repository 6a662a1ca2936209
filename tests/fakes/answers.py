"""What is answered, by the switch ``answer``.

Covers: canned, given and scripted answers; whom else to ask. Also what a fault makes of an answer.
Does not cover: answers that need the file (``hearing``, ``extract``), the vendors' shapes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from fakes.faults import Fault
from fakes.questions import Answer, Question, cut_to, tokens
from fakes.schemas import sample
from fakes.switches import Switches
from fakes.transcripts import Spoken, in_words

CANNED = "This is a canned answer."


class Answers:
    """The answers; it counts those of a script."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._given = 0

    def restart(self) -> None:
        """A script begins anew."""
        self._given = 0

    async def text(self, question: Question) -> Answer:
        """The answer to a question in words, as switched."""
        how = self._switches.answer
        if isinstance(how, dict):
            return Answer(self._told(how))
        if question.schema is not None:
            return Answer(json.dumps(sample(question.schema)))
        return Answer(json.dumps({"answer": CANNED}) if question.wants_json else CANNED)

    async def spoken(self, question: Question) -> Spoken | Any:
        """What is heard in the file of a question; what was given with ``{"json": …}`` as it is."""
        how = self._switches.answer
        if isinstance(how, dict):
            return how["json"] if "json" in how else in_words(self._told(how))
        return in_words(CANNED)

    def _told(self, how: dict[str, Any]) -> str:
        if "json" in how:
            return json.dumps(how["json"], ensure_ascii=False)
        if "text" in how:
            return str(how["text"])
        script = how["script"]
        one = script[min(self._given, len(script) - 1)]
        self._given += 1
        return one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)


def limited(answer: Answer, most: int | None) -> Answer:
    """The answer within ``maxOutputTokens``."""
    if most is None or tokens(answer.text) <= most:
        return answer
    return Answer(cut_to(answer.text, most), "length", answer.about)


def twisted(answer: Answer, fault: Fault | None) -> Answer:
    """What a fault makes of an answer."""
    text, half = answer.text, answer.text[: len(answer.text) // 2]
    match fault.kind if fault else None:
        case "truncated":
            return Answer(half, "length", answer.about)
        case "cut_json":
            return Answer(half, "stop", answer.about)
        case "blocked" | "empty" | "nothing" as how:
            return Answer("", how, answer.about)
        case "safety" | "recitation" as how:
            return Answer(half, how, answer.about)
        case "not_json":
            return Answer("I am sorry, but I would rather tell you about boats.", "stop", answer.about)
        case "fenced":
            return Answer(f"Here is the JSON:\n```json\n{text}\n```\nAnything else?", "stop", answer.about)
    return answer


def twisted_speech(spoken: Spoken, fault: Fault | None) -> Spoken:
    """What a fault makes of a transcript."""
    match fault.kind if fault else None:
        case "truncated" | "cut_json":
            return replace(spoken, segments=spoken.segments[: len(spoken.segments) // 2])
        case "empty" | "nothing" | "blocked":
            return replace(spoken, segments=[])
    return spoken
