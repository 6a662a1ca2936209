"""Threads beside the main work: order, errors, ending early."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from narrowboat.pipelines.pose.threads import Behind, ahead


def counting(seen: list[int], end: int = 10**9) -> Iterator[int]:
    try:
        for number in range(end):
            seen.append(number)
            yield number
    finally:
        seen.append(-1)


def test_what_is_read_ahead_comes_in_order() -> None:
    seen: list[int] = []
    assert list(ahead(counting(seen, 100))) == list(range(100))
    assert seen[-1] == -1


def test_not_more_is_read_than_may_wait() -> None:
    seen: list[int] = []
    source = ahead(counting(seen), depth=2)
    assert [next(source) for _ in range(3)] == [0, 1, 2]
    source.close()
    assert len(seen) <= 3 + 2 + 1 + 1  # given, waiting, in hand, closed
    assert seen[-1] == -1
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_an_error_comes_after_what_was_read_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    source = ahead(failing())
    assert next(source) == 1
    with pytest.raises(ValueError, match="broken"):
        next(source)


def test_calls_are_made_in_order_and_their_errors_are_raised() -> None:
    done: list[int] = []
    behind = Behind()
    for number in range(50):
        behind.call(lambda number=number: done.append(number))  # type: ignore[misc]
    behind.finish()
    assert done == list(range(50))

    def fail() -> None:
        raise ValueError("broken")

    behind.call(fail)
    with pytest.raises(ValueError, match="broken"):
        behind.finish()
    behind.close()
