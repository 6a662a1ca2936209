"""Times as models write them, and segments put in order, whatever was said of them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.engines.speech.timing import Said, in_order, seconds


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (83.4, 83.4),
        (0, 0.0),
        ("83.4", 83.4),
        ("83.4 s", 83.4),
        ("01:23", 83.0),
        ("1:23.4", 83.4),
        ("[01:23]", 83.0),
        ("(1:23,45)", 83.45),
        ("00:01:23", 83.0),
        ("00:01:23,450", 83.45),
        ("00:01:23:450", 83.45),
        ("01:23:450", 83.45),  # minutes, seconds, thousandths
        ("05:23:45", 323.45),  # five hours don't fit in ten minutes: it is a fraction
        ("00:09:59", 599.0),
        ("75:10", 4510.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        (None, None),
        (True, None),
        (math.nan, None),
        (math.inf, None),
        ([1], None),
    ],
)
def test_a_time_is_read_in_whatever_form_it_comes(written: Any, meant: float | None) -> None:
    assert seconds(written, 600) == (None if meant is None else pytest.approx(meant))


def test_hours_are_hours_where_they_fit() -> None:
    assert seconds("01:02:03", 7200) == 3723


def times(said: list[Said], length: float) -> list[tuple[float, float]]:
    return [(round(one.start or 0, 2), round(one.end or 0, 2)) for one in in_order(said, length)]


def test_good_times_are_kept() -> None:
    assert times([Said("a", 1, 2), Said("b", 3.5, 4), Said("c", 4, 9.5)], 10) == [(1, 2), (3.5, 4), (4, 9.5)]


def test_a_segment_ends_where_the_next_begins() -> None:
    assert times([Said("a", 10, 20), Said("b", 15, 18)], 60) == [(10, 15), (15, 18)]


def test_one_wrong_time_moves_no_other() -> None:
    said = [Said("a" * 10, 5, 6), Said("b" * 10, 300, 310), Said("c" * 10, 7, 8), Said("d" * 10, 9, 10)]
    assert [start for start, _ in times(said, 60)] == [5, 6, 7, 9]


def test_what_has_no_times_is_spread_by_its_characters() -> None:
    assert [start for start, _ in times([Said("a" * 10), Said("b" * 20), Said("c" * 10)], 60)] == [0, 15, 45]


def test_times_that_stand_still_are_spread() -> None:
    starts = [start for start, _ in times([Said("aa", 0, 0), Said("bb", 0, 0), Said("cc", 0, 0)], 30)]
    assert starts == [0, 10, 20]


def test_a_short_word_before_a_long_silence_does_not_last_through_it() -> None:
    (_, end), _ = times([Said("Yes.", 1, None), Said("So.", 120, 121)], 600)
    assert end < 5


SOME = st.one_of(st.none(), st.floats(-50, 1000), st.just(math.nan))
SAID = st.builds(Said, st.text(min_size=1, max_size=40), SOME, SOME)


@given(st.lists(SAID, max_size=30), st.floats(0.5, 700))
def test_whatever_comes_is_in_order_and_inside(said: list[Said], length: float) -> None:
    made = in_order(said, length)
    assert [one.text for one in made] == [one.text for one in said]
    for one in made:
        assert one.start is not None
        assert one.end is not None
        assert 0 <= one.start <= one.end <= length
    for one, after in pairwise(made):
        assert (one.start or 0) <= (after.start or 0)
