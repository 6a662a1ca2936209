"""What a fault makes of an answer.

Covers: answers in words that end early, are blocked, or are dressed up; transcripts with times that can't be, and with
a sentence that is said again and again. Does not cover: when a fault strikes (``faults``), how an answer breaks on its
way (``http``).
"""

from __future__ import annotations

from dataclasses import replace

from fakes.faults import Fault
from fakes.questions import Answer
from fakes.transcripts import Segment, Spoken

#: How often a sentence is said that a model does not get away from.
LOOP = 400


def twisted(answer: Answer, fault: Fault | None) -> Answer:
    """An answer in words."""
    text, half = answer.text, answer.text[: len(answer.text) // 2]
    match fault.kind if fault else None:
        case "truncated":
            return replace(answer, text=half, finish="length")
        case "cut_json":
            return replace(answer, text=half)
        case "blocked" | "empty" | "nothing" as how:
            return replace(answer, text="", finish=how)
        case "safety" | "recitation" as how:
            return replace(answer, text=half, finish=how)
        case "not_json":
            return replace(answer, text="I am sorry, but I would rather tell you about boats.")
        case "fenced":
            return replace(answer, text=f"Here is the JSON:\n```json\n{text}\n```\nAnything else?")
        case "loop":
            return replace(answer, finish="length")
    return answer


def twisted_speech(spoken: Spoken, fault: Fault | None) -> Spoken:
    """A transcript."""
    segments = spoken.segments
    match fault.kind if fault else None:
        case "wrong_times":
            return replace(spoken, segments=[_mistimed(at, one, spoken) for at, one in enumerate(segments)])
        case "loop":
            return replace(spoken, segments=[*segments[: len(segments) // 2], *_loop(spoken)])
    return spoken


def shortened(spoken: Spoken, fault: Fault | None) -> Spoken:
    """A transcript whose model says nothing of where it ends: OpenAI's answers have no reason for that."""
    match fault.kind if fault else None:
        case "truncated" | "cut_json":
            return replace(spoken, segments=spoken.segments[: len(spoken.segments) // 2])
        case "empty" | "nothing" | "blocked":
            return replace(spoken, segments=[])
    return spoken


def _loop(spoken: Spoken) -> list[Segment]:
    """A sentence from the middle as it is said again and again, until long after the end."""
    if not spoken.segments:
        return []
    one = spoken.segments[len(spoken.segments) // 2]
    length = max(one.end - one.start, 0.1)

    def later(number: int) -> float:
        return round(min(one.start + number * length, spoken.seconds), 3)

    return [replace(one, start=later(number), end=later(number + 1)) for number in range(LOOP)]


def _mistimed(at: int, one: Segment, spoken: Spoken) -> Segment:
    """Times as models get them wrong: past the end, backwards, below zero, all the same; one in five is right."""
    match at % 5:
        case 0:
            return replace(one, start=one.start + spoken.seconds, end=one.end + spoken.seconds)
        case 1:
            return replace(one, start=one.end, end=one.start)
        case 2:
            return replace(one, start=-one.start - 1, end=-1.0)
        case 3:
            return replace(one, start=0.0, end=0.0)
    return one
