"""Who is who in parts that were heard one by one: by label, by name, by what the engine says of all of them."""

from __future__ import annotations

from typing import Any

from narrowboat.pipelines.transcribe.speakers_workflow import Part, Person, called, loose, people, put_together


def speaker(label: str, name: str = "", voice: str = "") -> dict[str, str]:
    return {"label": label, "name": name, "voice": voice, "said": f"{label} says so"}


def parts(*heard: list[dict[str, str]]) -> list[Part]:
    return [Part(600.0 * number, 600.0 * (number + 1), speakers) for number, speakers in enumerate(heard)]


def shown(found: list[Person], of: list[Part]) -> list[dict[str, str]]:
    return called(found, len(of))


HOST, GUEST = speaker("Host"), speaker("Guest")


def test_labels_that_were_told_mean_the_same_everywhere() -> None:
    heard = parts([HOST, GUEST], [GUEST, HOST], [HOST])
    found = people(heard, [HOST, GUEST])
    assert len(found) == 2
    assert shown(found, heard) == [
        {"Host": "Host", "Guest": "Guest"},
        {"Guest": "Guest", "Host": "Host"},
        {"Host": "Host"},
    ]


def test_a_name_that_is_said_later_is_shown_everywhere() -> None:
    heard = parts([HOST, GUEST], [speaker("Host", "Anna Berg"), GUEST])
    assert shown(people(heard, [HOST, GUEST]), heard) == [{"Host": "Anna Berg", "Guest": "Guest"}] * 2


def test_the_same_name_is_the_same_person() -> None:
    heard = parts([HOST], [HOST, speaker("New 1", "Bo Lind")], [speaker("New 2", "bo  lind"), HOST])
    found = people(heard, [HOST])
    assert [person.name for person in found] == ["", "Bo Lind"]
    assert shown(found, heard)[2] == {"New 2": "Bo Lind", "Host": "Host"}


def test_two_that_one_part_tells_apart_stay_two_whatever_they_are_called() -> None:
    heard = parts([HOST], [speaker("New 1", "Jo"), speaker("New 2", "Jo")])
    found = people(heard, [HOST])
    assert shown(found, heard)[1] == {"New 1": "Jo", "New 2": "Jo (2)"}


def test_strangers_of_different_parts_are_not_taken_for_one() -> None:
    heard = parts([HOST], [speaker("New 1")], [speaker("New 1")])
    found = people(heard, [HOST])
    assert shown(found, heard) == [{"Host": "Host"}, {"New 1": "Speaker 1"}, {"New 1": "Speaker 2"}]


def test_numbers_that_the_engine_has_used_are_not_used_again() -> None:
    heard = parts([speaker("Speaker 1"), speaker("Speaker 2")], [speaker("New 1")])
    found = people(heard, heard[0].speakers)
    assert shown(found, heard)[1] == {"New 1": "Speaker 3"}


def test_nobody_is_asked_about_who_can_not_be_anybody_else() -> None:
    assert loose(people(parts([HOST, GUEST], [HOST]), [HOST, GUEST])) == []
    alone = parts([HOST], [speaker("New 1"), speaker("New 2")])
    assert loose(people(alone, [HOST])) == []


def test_what_is_told_of_the_loose_ones() -> None:
    heard = parts([HOST], [speaker("New 1", "Bo", "a deep voice")], [speaker("New 1", "", "a high voice")])
    first, second = loose(people(heard, [HOST]))
    assert first.about == 'heard from minute 10 to 20; name: Bo; voice: a deep voice; says "New 1 says so"'
    assert second.about == 'heard from minute 20 to 30; voice: a high voice; says "New 1 says so"'


def strangers() -> tuple[list[Part], list[Person]]:
    """Four: one in the second part, one in the third, two in the fourth."""
    heard = parts([HOST], [speaker("New 1")], [speaker("New 1", "Bo")], [speaker("New 1"), speaker("New 2")])
    return heard, people(heard, [HOST])


def grouped(*groups: dict[str, Any]) -> list[dict[str, str]]:
    heard, found = strangers()
    return shown(put_together(found, loose(found), groups), heard)


def test_a_group_with_a_ground_is_one_person() -> None:
    apart = grouped()
    assert [one.get("New 1") for one in apart[1:]] == ["Speaker 1", "Bo", "Speaker 2"]
    together = grouped({"members": [0, 1, 3], "ground": "says his name is Bo"})
    assert together[1:] == [{"New 1": "Bo"}, {"New 1": "Bo"}, {"New 1": "Speaker 1", "New 2": "Bo"}]


def test_a_group_that_can_not_be_changes_nothing() -> None:
    apart = grouped()
    assert grouped({"members": [2, 3], "ground": "like voices"}) == apart  # one part tells them apart
    assert grouped({"members": [0, 1], "ground": ""}) == apart  # no ground
    assert grouped({"members": [0, 9], "ground": "x"}) == apart  # nobody
    assert grouped({"members": [0], "ground": "x"}) == apart
    once = grouped({"members": [0, 1], "ground": "x"})
    assert grouped({"members": [0, 1], "ground": "x"}, {"members": [1, 2], "ground": "y"}) == once


def test_without_speakers_there_is_nobody() -> None:
    heard = parts([], [])
    assert people(heard, []) == []
    assert shown([], heard) == [{}, {}]
