"""What is shown of an address, and that errors show no more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.errors import SourceError
from narrowboat.shown import safe_json, safe_text, safe_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@h:8/p/a.mp3?token=x#y", "https://h:8/p/a.mp3?…"),
        ("https://h/a.mp3", "https://h/a.mp3"),
        ("https://h/a.mp3?", "https://h/a.mp3"),
        ("https://h/?p=12", "https://h/?p=12"),
        ("https://h/get?episode=12&token=x&Id=7", "https://h/get?episode=12&Id=7&…"),
        ("https://h/get?episode=x12&e=1234567890", "https://h/get?…"),
        ("https://h/@me/a.mp3", "https://h/@me/a.mp3"),
        ("https://me:p/w@h/a.mp3", "https://h/a.mp3"),
        ("https://me:p#w@h/a.mp3?t=1", "https://h/a.mp3"),
        ("http://me:pw@[::1/a?pw", "http://[::1/a"),
    ],
)
def test_an_address(url: str, shown: str) -> None:
    assert safe_url(url) == shown
    assert safe_url(shown) == shown


SECRET = st.text(
    st.characters(codec="ascii", exclude_categories=("Cc", "Zs"), exclude_characters='"<>#/@&?\\'), min_size=8
)


@given(SECRET, st.text(max_size=20), st.text(max_size=20))
def test_no_secret_in_a_text(secret: str, before: str, after: str) -> None:
    secret = "hush" + secret.replace(":", "")
    for url in (f"http://me:{secret}@h/a", f"https://{secret}@h/", f"ftp://h/a?key={secret}", f"http://h/a#{secret}"):
        assert "hush" not in safe_text(f"{before} {url} {after}")


def test_texts_without_addresses_stay() -> None:
    for text in ("", "a?b=c", "C:/me@home?x", "in https://h/a and http://h/b, both"):
        assert safe_text(text) == text
    assert safe_json({"a": [1, "http://u:p@h/", None], "b": {"c": ("x", 2.5)}}) == {
        "a": [1, "http://h/", None],
        "b": {"c": ["x", 2.5]},
    }


def test_errors_show_no_secret_whoever_made_them() -> None:
    error = SourceError("http://u:hush@h/?k=hush broke", hint="ask http://h/?k=hush", path="http://u:hush@h/", tries=3)
    assert "hush" not in json.dumps(error.to_json()) + str(error)
    assert error.facts == {"path": "http://h/", "tries": 3}
