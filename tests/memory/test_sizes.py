import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.errors import UsageError
from narrowboat.sizes import MIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 * MIB),
        ("512m", 512 * MIB),
        ("1.5G", 1536 * MIB),
        ("1.5 GiB", 1536 * MIB),
        ("64KB", 64 << 10),
        ("1048576", MIB),
        (" 2T ", 2 << 40),
        (4096, 4096),
    ],
)
def test_sizes_are_read(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["banana", "", "M", "-5M", "0", "1e9", "5 X", "1,5G", 0, -1])
def test_what_is_no_size_is_refused_by_name(text: str | int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert repr(text) in caught.value.message
    assert caught.value.hint is not None


@given(st.integers(min_value=1, max_value=1 << 50))
def test_a_written_size_is_near_the_real_one(size: int) -> None:
    number, unit = format_size(size).split()
    assert abs(parse_size(f"{number}{unit}" if unit != "B" else number) - size) <= size * 0.05
