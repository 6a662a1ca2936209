"""Which stretches show how speakers sound."""

from __future__ import annotations

from narrowboat.pipelines.transcribe.speakers_workflow import samples


def said(speaker: str | None, start: float, end: float) -> dict[str, object]:
    return {"start": start, "end": end, "text": "so", **({"speaker": speaker} if speaker else {})}


def test_the_middle_of_the_longest_of_each() -> None:
    found = samples([said("A", 0, 3), said("B", 3, 13), said("A", 13, 16.5), said(None, 20, 90)])
    assert found == [{"label": "B", "start": 6.0, "end": 10.0}, {"label": "A", "start": 13, "end": 16.5}]


def test_none_that_is_too_short_or_lies_over_another() -> None:
    assert samples([said("A", 0, 9), said("B", 3, 6), said("C", 10, 11.9)]) == [
        {"label": "A", "start": 2.5, "end": 6.5}
    ]


def test_four_at_most_those_who_speak_most() -> None:
    segments = [said(name, 10 * at, 10 * at + 2 + at) for at, name in enumerate("ABCDEF")]
    assert [one["label"] for one in samples(segments)] == ["F", "E", "D", "C"]
    assert samples([]) == []
