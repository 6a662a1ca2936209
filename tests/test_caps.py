"""The caps that users set by variables: which there are, what they mean, and what is said of a bad one."""

from __future__ import annotations

import pytest

from narrowboat.config import CAPS, caps
from narrowboat.errors import UsageError
from narrowboat.values import Caps


def test_each_variable_caps_its_own_thing() -> None:
    set_to = {name: str(number) for number, name in enumerate(CAPS, 1)}
    assert caps(set_to) == Caps(file_bytes=1 << 20, downloads=2, transcriptions=3, chunks=4, gemini=5, batch=6)


@pytest.mark.parametrize("environment", [{}, dict.fromkeys(CAPS, ""), dict.fromkeys(CAPS, " ")])
def test_what_is_not_set_caps_nothing(environment: dict[str, str]) -> None:
    assert caps(environment) == Caps()


@pytest.mark.parametrize("name", CAPS)
@pytest.mark.parametrize("text", ["0", "-1", "2.5", "two", "1e3", "500MB", "٣", "9" * 12, "1 2"])
def test_a_bad_value_is_told_with_the_name_of_its_variable(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name}: .* is no whole number above zero"):
        caps({name: text})


def test_of_two_limits_of_a_download_the_smaller_counts() -> None:
    assert Caps().smaller(None) is None
    assert Caps().smaller(5) == 5
    assert Caps(file_bytes=3).smaller(None) == 3
    assert Caps(file_bytes=3).smaller(5) == 3
    assert Caps(file_bytes=5).smaller(3) == 3
