"""The steps that ask a remote engine about speech. They are calls: all of a client share one worker.

Covers: what is said in a chunk, with times of the whole episode; whether an answer can be all of it; which stretch an
error is about; who is who in all chunks.
Does not cover: the engines' own words (``remote_gemini``, ``remote_openai``), cutting smaller what was too much for an
answer (``pipelines/transcribe/remote_workflow``), tries (``runner/calls``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from narrowboat.engines.remote import RemoteModel, remote_model
from narrowboat.engines.speech.heard import Heard, Speaker
from narrowboat.engines.speech.loops import without_loops
from narrowboat.engines.speech.timing import Said, in_order
from narrowboat.errors import EngineError, NarrowboatError, RemoteError, UsageError
from narrowboat.values import Json

#: An answer that ends so many seconds before the last speech, and this share of the chunk, is not all of it: times of
#: models are off by less.
_EARLY_S, _EARLY_SHARE = 45.0, 0.15
#: The share of the end of a chunk that has to be speech for this to be told.
_ENOUGH_SPEECH = 0.25
_FEW_WORDS = 4
_MODULES = {"gemini": "remote_gemini", "openai": "remote_openai"}


def listen(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step: what is said in a chunk.

    Inputs: ``model`` (its name); ``path``, a FLAC file; ``start`` and ``end``, seconds of the episode; ``language`` (a
    code, or None to find out); ``speakers``, those known from before (``[{"label", "name", "voice", "said"}]``);
    ``samples``, FLAC files of their voices, in that order, where the engine is told no words; ``speech`` (the share of
    its last seconds in which somebody speaks, 0 to 1) and ``speech_end`` (the second of the last speech, or None).

    Returns:
        ``start``, ``end``; ``segments`` (``[{"start", "end", "text"}]``, and ``speaker`` where the engine tells),
        seconds of the episode; ``language`` or None; ``speakers``, those heard, as above; ``usage``; ``finish``:
        ``"stop"``, ``"length"`` when the answer was cut off and there are no segments, ``"early"`` when it ends long
        before the speech does.

    Raises:
        EngineError, RemoteError: with the stretch in front.
        UsageError, Interrupted: as the engine's own module.
    """
    model = _model(inputs["model"])
    with _of(inputs["start"], inputs["end"]):
        heard: Heard = _module(model).ask(model, Path(inputs["path"]), inputs)
    length = inputs["end"] - inputs["start"]
    said = in_order(list(without_loops(one for one in heard.said if one.text)), length)
    return {
        "start": inputs["start"],
        "end": inputs["end"],
        "segments": [_segment(one, inputs["start"]) for one in said],
        "language": heard.language,
        "speakers": [_told(speaker) for speaker in _speakers(heard.speakers, said)],
        "usage": heard.usage,
        "finish": "early" if _ends_early(heard, said, inputs) else heard.finish,
    }


def who_is_who(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step: which speakers of different chunks are the same.

    Inputs: ``model``; ``speakers``, a line about each.

    Returns ``groups`` (``[{"members", "ground"}]``, places in that list), none of which was looked at; ``usage``; and
    ``why`` where the engine will not say: then all stay apart.
    """
    model = _model(inputs["model"])
    try:
        groups, usage = _module(model).who_is_who(model, inputs["speakers"])
    except EngineError as error:
        return {"groups": [], "usage": {}, "why": error.message}
    return {"groups": [{"members": sorted(members), "ground": ground} for members, ground in groups], "usage": usage}


def _model(name: str) -> RemoteModel:
    model = remote_model(name)
    if model is None:
        raise UsageError(f"{name!r} is no remote model", hint="write it as gemini:MODEL or openai:MODEL")
    return model


def _module(model: RemoteModel) -> Any:
    return import_module(f"narrowboat.engines.speech.{_MODULES[model.vendor]}")


@contextmanager
def _of(start: float, end: float) -> Iterator[None]:
    """Errors name the stretch of time that they are about."""
    try:
        yield
    except (EngineError, RemoteError) as error:
        raise _named(error, f"{clock(start)} to {clock(end)}") from None


def _named(error: NarrowboatError, stretch: str) -> NarrowboatError:
    return type(error)(f"{stretch}: {error.message}", hint=error.hint, **error.facts)


def clock(seconds: float) -> str:
    """``01:02:03``."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _segment(said: Said, offset: float) -> dict[str, Json]:
    assert said.start is not None and said.end is not None
    made = {"start": round(offset + said.start, 3), "end": round(offset + said.end, 3), "text": said.text}
    return {**made, "speaker": said.speaker} if said.speaker else made


def _speakers(listed: Sequence[Speaker], said: Sequence[Said]) -> Iterator[Speaker]:
    """Those who speak, in the order in which they begin, each with words of theirs."""
    about = {speaker.label: speaker for speaker in reversed(listed)}
    for label in dict.fromkeys(one.speaker for one in said if one.speaker):
        speaker = about.get(label) or Speaker(label)
        texts = [one.text for one in said if one.speaker == label]
        longest = next((text for text in texts if len(text.split()) >= 2 * _FEW_WORDS), max(texts, key=len))
        yield Speaker(label, speaker.name, speaker.voice, " ".join(longest.split()[:16]))


def _told(speaker: Speaker) -> dict[str, Json]:
    return {"label": speaker.label, "name": speaker.name, "voice": speaker.voice, "said": speaker.said}


def _ends_early(heard: Heard, said: Sequence[Said], inputs: dict[str, Any]) -> bool:
    """Whether an answer that looks whole can't be: it is over long before the speech is."""
    if heard.finish == "length" or inputs["speech_end"] is None or inputs["speech"] < _ENOUGH_SPEECH:
        return False
    if said and not heard.timed:
        return False
    last = inputs["start"] + (max(one.end or 0.0 for one in said) if said else 0.0)
    return bool(inputs["speech_end"] - last > max(_EARLY_S, _EARLY_SHARE * (inputs["end"] - inputs["start"])))
