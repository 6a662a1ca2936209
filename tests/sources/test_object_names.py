"""Names of objects: what they mean, and what is none."""

from __future__ import annotations

import pytest

from narrowboat.errors import UsageError
from narrowboat.sources.locate import locate
from narrowboat.sources.object_names import is_object, object_name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://pods/a.mp3", ("s3", "pods", "a.mp3")),
        ("S3://Pods.of-2024/a/b c.mp3", ("s3", "Pods.of-2024", "a/b c.mp3")),
        ("gs://pods/what?%20#x.mp3", ("gs", "pods", "what?%20#x.mp3")),
        ("az://$web/ä/ö.mp3", ("az", "$web", "ä/ö.mp3")),
        ("s3://pods", ("s3", "pods", "")),
        ("s3://pods/", ("s3", "pods", "")),
        ("s3://pods/2024/*.mp3", ("s3", "pods", "2024/*.mp3")),
    ],
)
def test_parts(text: str, parts: tuple[str, str, str]) -> None:
    name = object_name(text)
    assert (name.scheme, name.bucket, name.key) == parts
    assert object_name(name.address) == name


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///a.mp3",
        "s3://a/x.mp3",
        "s3://me:secret@pods/a.mp3",
        "s3://pods:80/a.mp3",
        "s3://pods\\evil.example/a",
        "s3://po ds/a.mp3",
        "s3://-pods/a.mp3",
        "s3://" + "p" * 300 + "/a",
        "s3://pods//a.mp3",
        "s3://pods/a//b.mp3",
        "s3://pods/a\nb.mp3",
        "s3://pods/" + "é" * 513,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(UsageError):
        object_name(text)
    with pytest.raises(UsageError):
        locate(text)


@pytest.mark.parametrize("text", ["https://pods/a", "file:///a", "/s3/a", "s4://a/b", "xs3://pods/a"])
def test_no_objects(text: str) -> None:
    assert not is_object(text)


@pytest.mark.parametrize(
    ("text", "folder", "meant", "others"),
    [
        ("s3://pods/", "", ["a.mp3", "b/c.mp3"], ["b/"]),
        ("s3://pods/2024/", "2024", ["2024/a.mp3", "2024/x/b.mp3"], ["2024", "2024/", "20245/a.mp3", "x/2024/a.mp3"]),
        ("s3://pods/2024/*.mp3", "2024", ["2024/a.mp3", "2024/.mp3"], ["2024/a.wav", "2024/x/b.mp3", "2024/a.MP3"]),
        ("s3://pods/*/ep*", "", ["2024/ep1.mp3", "x/ep"], ["ep1.mp3", "2024/x/ep1.mp3", "2024/xep"]),
        ("s3://pods/a[1]?/*", "a[1]?", ["a[1]?/x"], ["a1b/x", "a[1]b/x"]),
    ],
)
def test_many(text: str, folder: str, meant: list[str], others: list[str]) -> None:
    name = object_name(text)
    assert name.is_many and name.folder == folder
    assert [name.means(key) for key in meant] == [True] * len(meant)
    assert [name.means(key) for key in others] == [False] * len(others)


def test_as_a_source() -> None:
    pytest.importorskip("obstore")
    source = locate(" gs://pods/2024/My talk.mp3 ")
    assert (source.kind, source.location, source.stem) == ("object", "gs://pods/2024/My talk.mp3", "My talk")
    with pytest.raises(UsageError, match="means many objects, and here one is needed"):
        locate("gs://pods/2024/")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"s3:// needs obstore, .* \(pip install 'narrowboat\[stores\]'\)"):
        locate("s3://pods/a.mp3")
