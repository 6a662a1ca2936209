"""What the fakes are told to do: plain values, set on the command line, in a test, or at ``POST /__set``.

Covers: the switches with their meaning and units, changing them by name.
Does not cover: faults (``faults``, one of the switches holds their script), what follows from them (``server``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from fakes.faults import Fault, Faults, faults_of

MIB = 1 << 20


class NoSuchSwitch(ValueError):
    """A switch that is not there, or a value that it does not take."""


@dataclass(slots=True)
class Switches:
    """All switches, as they are when nobody says anything.

    Attributes:
        latency_s: seconds from the end of a request to its answer, for everything that is paid for.
        latency_per_mb_s: seconds more for each MiB that the question brings, files included.
        quota: paid calls that a key has in ``quota_window_s``; the next one is answered 429. None: any number.
        quota_window_s: seconds.
        at_once: paid calls of all keys that are at work at the same time; one more is answered 429. None: any number.
        keys: the API keys that are good; None: every key.
        models: the models that are there; None: every name.
        answer: ``canned``, ``hearing``, ``extract``; ``{"json": …}`` or ``{"text": …}`` for that very answer;
            ``{"script": [text, …]}`` for one after the other, the last one again and again.
        episodes: folders of ``python -m fakes.episode``, for ``hearing``.
        processing_polls: how often a file is PROCESSING when it is asked for, before it is ACTIVE.
        expiry_s: seconds that a file lives.
        clock_s: seconds that the fakes' clock is ahead of the machine's.
        granularity: bytes of which every chunk of an upload but the last one must be a multiple.
        keep_files: the bytes of uploads are kept on disk until they are deleted; without, only their hash and size are.
        most_output: tokens of an answer; more is cut off, as at MAX_TOKENS.
        most_inline: bytes of a request to generateContent or chat.
        most_audio: bytes of a request to audio/transcriptions.
        voices: the diarizing model takes samples of voices; without, it refuses them.
        faults: a script or rules, see ``faults``.
        seed: of everything that is left to chance.
    """

    latency_s: float = 0.0
    latency_per_mb_s: float = 0.0
    quota: int | None = None
    quota_window_s: float = 60.0
    at_once: int | None = None
    keys: list[str] | None = None
    models: list[str] | None = None
    answer: Any = "canned"
    episodes: list[str] = field(default_factory=list)
    processing_polls: int = 0
    expiry_s: float = 48 * 3600.0
    clock_s: float = 0.0
    granularity: int = 8 * MIB
    keep_files: bool = True
    most_output: int = 65_536
    most_inline: int = 20 * MIB
    most_audio: int = 25 * MIB
    voices: bool = True
    faults: Faults = field(default_factory=lambda: Faults([], 0))
    seed: int = 0

    def change(self, values: dict[str, Any]) -> None:
        """Set switches by name; all of them, or none when one is wrong.

        Raises:
            NoSuchSwitch: there is none of that name, or it takes no such value.
        """
        known = {one.name for one in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise NoSuchSwitch(f"there is no switch {name}; there are {', '.join(sorted(known))}")
            if name == "answer":
                _check_answer(value)
        faults: list[Fault] | None = None
        if "faults" in values:
            try:
                faults = faults_of(values["faults"])
            except ValueError as error:
                raise NoSuchSwitch(str(error)) from None
        for name, value in values.items():
            if name != "faults":
                setattr(self, name, value)
        if faults is not None:
            self.faults = Faults(faults, self.seed)


def _check_answer(value: Any) -> None:
    named = value in ("canned", "hearing", "extract") if isinstance(value, str) else False
    given = isinstance(value, dict) and len(value) == 1 and not {"json", "text", "script"}.isdisjoint(value)
    if not named and not given:
        raise NoSuchSwitch('answer is canned, hearing, extract, {"json": …}, {"text": …} or {"script": […]}')
