"""From what the user wrote to a source."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.errors import SourceError, UsageError
from narrowboat.sources.locate import fingerprint, locate, safe_stem


def test_a_file_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Episode 1. The start.mp3").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    source = locate("Episode 1. The start.mp3")
    assert (source.kind, source.location) == ("file", str(tmp_path / "Episode 1. The start.mp3"))
    assert source.stem == "Episode 1. The start"


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, words in [
        ("", "is a folder"),
        ("missing.mp3", "does not exist"),
        ("empty.mp3", "is empty"),
        ("pipe", "is not a regular file"),
        ("empty.mp3/x", "can't be read: Not a directory"),
        ("x" * 300, "can't be read: File name too long"),
    ]:
        with pytest.raises(SourceError, match=words) as caught:
            locate(str(tmp_path / name))
        assert str(tmp_path) in caught.value.message
    with pytest.raises(SourceError, match="is not a regular file"):
        locate("/dev/null")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(SourceError, match="permission denied"):
        locate(str(path))


@pytest.mark.parametrize(
    ("url", "stem"),
    [
        ("https://example.org/pod/My%20talk.mp3?x=/y.mp3#t=1", "My talk"),
        ("HTTP://example.org", "example"),
        ("https://example.org/feed/", "feed"),
        ("https://example.org/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd"),
        ("https://example.org/%00%0A.mp3", "__"),
        ("https://example.org/%FF%FE.mp3", "\ufffd\ufffd"),
        ("https://me:pw@example.org:8080/a.mp3", "a"),
    ],
)
def test_addresses(url: str, stem: str) -> None:
    source = locate(url)
    assert (source.kind, source.stem) == ("url", stem)
    assert "#" not in source.location


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a\0b", "ftp://x/y", "file:///etc/passwd", "http://", "https://a b/", "http://[::1", "http://h:99999/"],
)
def test_refused(text: str) -> None:
    with pytest.raises(UsageError):
        locate(text)


@given(st.text(st.characters(codec=None), max_size=300))
def test_a_stem_is_always_a_safe_file_name(name: str) -> None:
    stem = safe_stem(name)
    assert 0 < len(stem.encode()) <= 120
    assert not stem.startswith(".") and not set(stem) & set("/\\\0\n\r")
    assert safe_stem(stem + ".mp3") == stem


def test_a_long_name_is_cut_between_characters() -> None:
    assert safe_stem("é" * 100 + ".mp3") == "é" * 60


def test_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 1_000_000)
    assert fingerprint(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(SourceError, match="can't be read"):
        fingerprint(tmp_path / "missing")


def test_locating_is_light() -> None:
    code = "import sys, narrowboat.sources.locate; print(sorted({'urllib3', 'av', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.mp3"
    Path(os.fsdecode(path)).write_bytes(b"x")
    source = locate(os.fsdecode(path))
    assert os.fsencode(source.location) == path
    assert source.stem == "__"
    with pytest.raises(SourceError) as caught:
        locate(os.fsdecode(path) + "x")
    caught.value.message.encode()
