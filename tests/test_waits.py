"""How long a server asks to be left alone."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from narrowboat.waits import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), (" 40 ", 40.0), ("99999999999999999999", 999999999.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_what_can_be_read(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "²", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_what_can_not(value: str | None) -> None:
    assert retry_after(value) is None


def test_a_date_to_come() -> None:
    wait = retry_after(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert wait is not None
    assert 3500 < wait <= 3600
