"""How a transcript looks as text, SubRip, WebVTT and JSON, one segment at a time; and its summary as text.

Covers: line and cue lengths, times, escaping, paragraphs, who speaks, who wrote a summary.
Does not cover: files (``captions.py``).
"""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from narrowboat.media.vectors import write_vectors

LINE = 42  # characters; what broadcasters' style guides settle on for two-line captions
LINES = 2
PAUSE = 1.5  # seconds of silence after which the text starts a new paragraph
PARAGRAPH = 600  # characters after which the next sentence starts a new one
UNSPACED = {"zh", "yue", "ja", "th", "lo", "my", "km", "bo"}  # written without spaces between words
_SENTENCE_ENDS = tuple(".!?…。！？\"'”’")

Out = Callable[[str], Any]


class Writer:
    """Takes segments in order; ``finish`` ends the file."""

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        self.out = out
        self.joiner = "" if inputs.get("language") in UNSPACED else " "
        self.inputs = inputs

    def push(self, segment: dict[str, Any]) -> None:
        """Write one segment: ``start``, ``end`` in seconds, ``text``; ``confidence``, ``speaker`` where known."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what ends the file."""


class Text(Writer):
    """Paragraphs, one a line, with an empty line between. A new one begins at a pause, when one gets long, and with
    another speaker; where it is known who speaks, time and speaker stand in front.
    """

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        super().__init__(out, inputs)
        self._length = 0
        self._end = 0.0
        self._sentence_ended = False
        self._speaker = ""

    def push(self, segment: dict[str, Any]) -> None:
        text, speaker = clean(segment["text"]), speaker_of(segment)
        if not text:
            return
        pause = segment["start"] - self._end >= PAUSE or speaker != self._speaker
        if self._length and (pause or (self._length >= PARAGRAPH and self._sentence_ended)):
            self.out("\n\n")
            self._length = 0
        if self._length:
            self.out(self.joiner)
        elif speaker:
            self.out(f"[{clock(int(segment['start']) * 1000, '')[:8]}] {speaker}: ")
        self.out(text)
        self._speaker = speaker
        self._length += len(text)
        self._end, self._sentence_ended = segment["end"], text.endswith(_SENTENCE_ENDS)

    def finish(self) -> None:
        if self._length:
            self.out("\n")


class _Cues(Writer):
    """Cues of at most two lines, whose times never overlap."""

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        super().__init__(out, inputs)
        self._number = 0
        self._end = 0  # milliseconds

    def push(self, segment: dict[str, Any]) -> None:
        for start, end, lines in cues(segment, self._end):
            self._number += 1
            self._end = end
            self.cue(self._number, start, end, lines, speaker_of(segment))

    def cue(self, number: int, start: int, end: int, lines: list[str], speaker: str) -> None:
        """Write one cue; times in milliseconds."""
        raise NotImplementedError


class SubRip(_Cues):
    """SRT. It knows no speakers: who speaks stands in front where that changes."""

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        super().__init__(out, inputs)
        self._speaker = ""

    def push(self, segment: dict[str, Any]) -> None:
        before, self._speaker = self._speaker, speaker_of(segment)
        if self._speaker and self._speaker != before:
            segment = {**segment, "text": f"{self._speaker}: {segment['text']}"}
        super().push(segment)

    def cue(self, number: int, start: int, end: int, lines: list[str], speaker: str) -> None:
        # Nothing can be escaped in SRT; an arrow in the text would be read as times.
        text = "\n".join(lines).replace("-->", "->")
        self.out(f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{text}\n\n")


class WebVtt(_Cues):
    """WebVTT."""

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        super().__init__(out, inputs)
        out("WEBVTT\n")

    def cue(self, number: int, start: int, end: int, lines: list[str], speaker: str) -> None:
        text = html.escape("\n".join(lines), quote=False)
        voice = f"<v {html.escape(speaker, quote=False)}>" if speaker else ""
        self.out(f"\n{clock(start, '.')} --> {clock(end, '.')}\n{voice}{text}\n")


class Summary(Writer):
    """Who made the summary, and the summary."""

    def push(self, segment: dict[str, Any]) -> None:
        """What was said is in the other files."""

    def finish(self) -> None:
        summary = self.inputs.get("summary") or {"text": "", "made_by": {"model": "", "kind": "quotes"}}
        self.out(f"{summary_heading(summary)}\n")
        if summary["text"]:
            self.out(f"\n{summary['text'].strip()}\n")


class JsonText(Writer):
    """One object: version, source, its episode where it is one, media, engine, language, what it cost and what could
    not be heard, what was made of it, the segments, one a line, and their embeddings where they were asked for.
    """

    def __init__(self, out: Out, inputs: dict[str, Any]) -> None:
        super().__init__(out, inputs)
        self._number = 0
        head = {
            "version": 1,
            "source": inputs.get("source"),
            **({"episode": inputs["episode"]} if inputs.get("episode") else {}),
            "media": inputs.get("facts") or {},
            "engine": inputs.get("engine") or {},
            "language": inputs.get("language"),
        }
        head |= {name: inputs[name] for name in ("usage", "unheard", "summary") if inputs.get(name) is not None}
        lines = ",\n".join(f"{_json(key)}: {_json(value)}" for key, value in head.items())
        out(f'{{\n{lines},\n"segments": [')

    def push(self, segment: dict[str, Any]) -> None:
        value = {"id": self._number, **segment, "text": clean(segment["text"])}
        self.out((",\n" if self._number else "\n") + _json(value))
        self._number += 1

    def finish(self) -> None:
        self.out("\n]" if self._number else "]")
        if self.inputs.get("embeddings") is not None:
            self.out(',\n"embeddings": ')
            write_vectors(self.out, self.inputs["embeddings"], Path(self.inputs["vectors"]))
        self.out("\n}\n")


FORMATS: dict[str, type[Writer]] = {"txt": Text, "srt": SubRip, "vtt": WebVtt, "json": JsonText, "summary": Summary}


def _json(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    """``value`` with its floats to three digits: milliseconds, and so for confidences. JSON knows no NaN: null."""
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def summary_heading(summary: dict[str, Any]) -> str:
    """Who made a summary, so that nobody takes it for more than it is, and whether it has the length that was asked."""
    made_by = summary["made_by"]
    by = {
        "quotes": "quotes",
        "small local model": f"written by a small local model, {made_by['model']}: check it against the transcript",
    }.get(made_by["kind"], f"written by {made_by['model']}")
    low, high = summary.get("asked_words") or (0, math.inf)
    words = summary.get("words", low)
    length = "" if low <= words <= high else f"; {words} words, {low} to {high} were asked for"
    return f"Summary ({by}{length})"


def speaker_of(segment: dict[str, Any]) -> str:
    """Who speaks, on one line; empty where that is not known."""
    return clean(segment.get("speaker") or "")


def clean(text: str) -> str:
    """``text`` on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in text).split())


def clock(milliseconds: int, point: str) -> str:
    """``01:02:03,456``, with ``point`` before the milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def cues(segment: dict[str, Any], earliest: int) -> Iterator[tuple[int, int, list[str]]]:
    """The cues of a segment, none before ``earliest``: start and end in milliseconds, one or two lines.

    A text that is too long for one cue is spread over several, each with its share of the time by its characters.
    """
    lines = textwrap.wrap(clean(segment["text"]), LINE, break_on_hyphens=False)
    groups = [lines[at : at + LINES] for at in range(0, len(lines), LINES)]
    start = max(round(segment["start"] * 1000), earliest, 0)
    length = max(round(segment["end"] * 1000) - start, len(groups))  # at least a millisecond each
    total, done, begin = sum(map(len, lines)), 0, start
    for at, group in enumerate(groups):
        done += sum(map(len, group))
        end = max(start + length * done // total, begin + 1) if at < len(groups) - 1 else max(start + length, begin + 1)
        yield begin, end, group
        begin = end
