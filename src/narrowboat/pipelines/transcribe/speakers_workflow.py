"""Who is who in the parts of an episode that were heard one by one. Plain functions of plain values, in the supervisor.

Covers: speakers of different parts that are the same; which stretches show how they sound; what each is called.
Does not cover: asking the engine (``remote_workflow``), what it is asked (``engines/speech/remote_gemini``).

The speakers of the first part are told to the engine with all later ones, so that it hears them again by itself. Of
those who are left over, two become one on two grounds alone: the same name was said, or the engine, shown what is known
of all of them, gives a reason. Two that one part tells apart never become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from narrowboat.values import Json

#: Those who are asked about at once, at most: the longest question is some ten thousand words.
MOST_ASKED = 200
#: Seconds of a sample of a voice, and how many of them OpenAI takes: four, of 2 to 10 seconds.
LEAST_SAMPLE, MOST_SAMPLE, MOST_SAMPLES = 2.0, 4.0, 4


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of who speaks in a part.

    Attributes:
        start: seconds of the episode; likewise ``end``.
        speakers: ``[{"label", "name", "voice", "said"}]`` as the engine told.
    """

    start: float
    end: float
    speakers: Sequence[Mapping[str, str]]


@dataclass(slots=True)
class Person:
    """A speaker of the episode.

    Attributes:
        label: as the engine knows it from the first part; empty for one that is not from there.
        name: where it was said.
        heard: by the number of a part, what the person is called there.
        about: in words, for the engine.
    """

    label: str
    name: str
    heard: dict[int, str] = field(default_factory=dict)
    about: str = ""


def people(parts: Sequence[Part], known: Sequence[Mapping[str, str]]) -> list[Person]:
    """The speakers of all parts, in the order in which they come; ``known`` were told to the engine.

    Whoever has the label of a known one is that one, and who has a name that somebody else has is that one too.
    """
    found = [Person(speaker["label"], speaker["name"]) for speaker in known]
    for number, part in enumerate(parts):
        strangers = []
        for speaker in part.speakers:
            same = next((one for one in found if one.label == speaker["label"]), None)
            if same is None:
                strangers.append(speaker)
            else:
                same.heard[number] = speaker["label"]
                same.name = same.name or speaker["name"]
        for speaker in strangers:
            same = next(
                (one for one in found if number not in one.heard and _same_name(one.name, speaker["name"])), None
            )
            if same is None:
                same = Person("", speaker["name"], about=_about(part, speaker))
                found.append(same)
            same.heard[number] = speaker["label"]
    return [person for person in found if person.heard]


def samples(segments: Iterable[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Where those who speak most sound clearest: ``[{"label", "start", "end"}]``, none over another.

    The middle of the longest segment: at its ends somebody else may be heard.
    """
    longest: dict[str, tuple[float, float]] = {}
    spoken: Counter[str] = Counter()
    for segment in segments:
        label, start, end = segment.get("speaker"), segment["start"], segment["end"]
        if not label:
            continue
        spoken[label] += end - start
        before = longest.get(label, (0.0, 0.0))
        if end - start > before[1] - before[0]:
            longest[label] = start, end
    found: list[dict[str, Json]] = []
    for label, _ in spoken.most_common():
        start, end = longest[label]
        aside = max(0.0, end - start - MOST_SAMPLE) / 2
        start, end = start + aside, end - aside
        apart = all(end <= other["start"] or other["end"] <= start for other in found)
        if end - start >= LEAST_SAMPLE and apart and len(found) < MOST_SAMPLES:
            found.append({"label": label, "start": round(start, 3), "end": round(end, 3)})
    return found


def loose(people: Iterable[Person]) -> list[Person]:
    """Those who are worth asking about: not known from the first part, and others like them are in other parts."""
    found = [person for person in people if not person.label][:MOST_ASKED]
    return found if any(not _meet(one, other) for one in found for other in found) else []


def put_together(
    people: Sequence[Person], asked: Sequence[Person], groups: Iterable[Mapping[str, Json]]
) -> list[Person]:
    """The same people with the groups among ``asked`` made one each; what can't be is left as it is.

    Args:
        groups: ``{"members": [place in asked], "ground"}`` as the engine answered.
    """
    gone: set[int] = set()
    taken: set[int] = set()
    for group in groups:
        members = sorted(set(group["members"]))
        if (
            len(members) < 2
            or not group["ground"]
            or taken & set(members)
            or not 0 <= members[0] <= members[-1] < len(asked)
        ):
            continue
        first, *others = (asked[place] for place in members)
        if any(_meet(one, other) for at, one in enumerate([first, *others]) for other in [first, *others][at + 1 :]):
            continue
        taken |= set(members)
        for other in others:
            first.heard |= other.heard
            first.name = first.name or other.name
            gone.add(id(other))
    return [person for person in people if id(person) not in gone]


def called(people: Sequence[Person], parts: int) -> list[dict[str, str]]:
    """For each part, what is shown for each of its labels: the name, else the role, else ``Speaker`` and a number."""
    shown: dict[int, str] = {}
    taken: set[str] = set()
    for person in people:
        if wanted := person.name or person.label:
            shown[id(person)] = _free(wanted, taken)
    for person in people:
        if id(person) not in shown:
            shown[id(person)] = next(name for at in count(1) if (name := f"Speaker {at}") not in taken)
            taken.add(shown[id(person)])
    made: list[dict[str, str]] = [{} for _ in range(parts)]
    for person in people:
        for number, label in person.heard.items():
            made[number][label] = shown[id(person)]
    return made


def _free(wanted: str, taken: set[str]) -> str:
    name = next(name for at in count(1) if (name := wanted if at == 1 else f"{wanted} ({at})") not in taken)
    taken.add(name)
    return name


def _meet(one: Person, other: Person) -> bool:
    """Whether a part tells them apart, or they are one."""
    return not one.heard.keys().isdisjoint(other.heard)


def _same_name(one: str, other: str) -> bool:
    return bool(one) and " ".join(one.casefold().split()) == " ".join(other.casefold().split())


def _about(part: Part, speaker: Mapping[str, str]) -> str:
    about = [f"heard from minute {part.start / 60:.0f} to {part.end / 60:.0f}"]
    about += [f"name: {speaker['name']}"] if speaker["name"] else []
    about += [f"voice: {speaker['voice']}"] if speaker["voice"] else []
    return "; ".join([*about, f'says "{speaker["said"]}"'])
