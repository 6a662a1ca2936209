"""What a file is, and whether it is whole."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import KINDS, add_pictures, encode, make, signal, video_stream

from narrowboat.errors import SourceError
from narrowboat.media.audio import blocks, probe

WHOLE = sorted(KINDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("made")
    return {kind: make(folder / f"a.{kind}").read_bytes() for kind in KINDS}


def refused(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        probe({"path": str(path)})
    assert path.name in caught.value.message and "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", WHOLE)
def test_facts(made: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(made[kind])
    _, codec, rate, layout, pictures = KINDS[kind]
    facts = probe({"path": str(path)})
    assert facts["duration"] == pytest.approx(5.0, abs=0.08)
    assert facts["codec"] == {"libmp3lame": "mp3", "libopus": "opus"}.get(codec, codec)
    assert (facts["sample_rate"], facts["channels"]) == (rate, 1 if layout == "mono" else 2)
    assert (facts["bytes"], facts["has_video"], facts["streams"]) == (len(made[kind]), pictures, 1)
    assert facts["bit_rate"] == pytest.approx(len(made[kind]) * 8 / facts["duration"], abs=1)
    assert sum(map(len, blocks(path, facts["stream"]))) / 16000 == pytest.approx(5.0, abs=0.08)


@pytest.mark.parametrize("share", [0.3, 0.75, 0.9, 0.995])
@pytest.mark.parametrize("kind", WHOLE)
def test_cut_files_are_refused(made: dict[str, bytes], tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(made[kind][: int(len(made[kind]) * share)])
    error = refused(path)
    assert "is cut short" in error.message and error.facts["reason"] == "truncated"


@pytest.mark.parametrize(
    ("kind", "lost"),  # a few bytes of plain samples are no loss
    [(kind, 100) for kind in WHOLE] + [(kind, 1) for kind in WHOLE if kind not in ("wav", "aiff", "avi")],
)
def test_the_last_bytes_are_missed(made: dict[str, bytes], tmp_path: Path, kind: str, lost: int) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(made[kind][:-lost])
    assert refused(path).facts["reason"] == "truncated"


def test_real_speech_cut_anywhere(shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "speech" / "dictation.mp3").read_bytes()
    path = tmp_path / "dictation.mp3"
    for end in (1000, 50_000, 1_234_567, 2_000_000, len(data) - 10):
        path.write_bytes(data[:end])
        assert refused(path).facts["reason"] in ("truncated", "not_media")
    path.write_bytes(data)
    assert probe({"path": str(path)})["duration"] == pytest.approx(274.332, abs=0.001)


def test_mp3_without_a_header(made: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    bare = made["mp3"][_first_sound(made["mp3"]) :]
    path.write_bytes(bare)
    assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.1)
    path.write_bytes(bare[: len(bare) // 2 + 7])
    assert "ends within a frame" in refused(path).message


def _first_sound(data: bytes) -> int:
    """Where the frame after the one with the Xing header starts."""
    mark = max(data.find(b"Xing"), data.find(b"Info"))
    return data.index(b"\xff\xfb", mark)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)])
def test_tags_at_the_end_are_no_cut(made: dict[str, bytes], tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(made["mp3"] + tail)
    assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.08)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "ogg", "wav", "flac"])
def test_what_follows_the_end_is_no_cut(made: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    for number, tail in enumerate((bytes(5000), b"trailing words " * 50)):
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(made[kind] + tail)
        assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.1)


def test_unknown_boxes_are_passed_over(made: dict[str, bytes], tmp_path: Path) -> None:
    data, path = made["m4a"], tmp_path / "a.m4a"
    at = data.index(b"moov") - 4
    path.write_bytes(data[:at] + struct.pack(">I4s", 24, b"emsg") + bytes(16) + data[at:])
    assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.1)


def test_one_mp3_after_the_other(made: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(made["mp3"] + made["mp3"])
    assert probe({"path": str(path)})["duration"] == pytest.approx(10.1, abs=0.2)


def test_damage_in_the_middle_is_no_cut(made: dict[str, bytes], tmp_path: Path) -> None:
    for kind in ("mp3", "flac", "aac"):
        data = bytearray(made[kind])
        middle = len(data) // 2
        data[middle : middle + 300] = random.Random(1).randbytes(300)
        path = tmp_path / f"a.{kind}"
        path.write_bytes(data)
        assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.2), kind


PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    for kind, body in [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(72))),
        (b"IEND", b""),
    ]
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"One line of text.\n", "reads as text"),
        ("Schöne Grüße aus der Küche.\n".encode() * 5000, "reads as text"),
        (b"<!doctype html><html><body>Not found</body></html>" * 50, "reads as text"),
        (b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n", "reads as text or a playlist"),
        (b"ffconcat version 1.0\nfile a.wav\n", "reads as text or a playlist"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhi\n\n" * 50, "reads as text"),
        (b"RIFF\0\0", "is not media"),
        (bytes(50_000), "is not media"),
        (PNG, "is not media"),
        (b"%PDF-1.7\n" + random.Random(2).randbytes(100_000), "not media|no sound|no audio"),
        (random.Random(1).randbytes(200_000), "not media|no sound|no audio"),
        (b"PK\3\4" + random.Random(3).randbytes(100_000), "not media|no sound|no audio"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a", "aac"])
def test_what_is_no_media(tmp_path: Path, content: bytes, words: str, suffix: str) -> None:
    path = tmp_path / f"talk.{suffix}"
    path.write_bytes(content)
    assert re.search(words, refused(path).message)


def test_missing_file_and_given_name(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing.mp3").message
    with pytest.raises(SourceError, match=r"^https://example.org/a.mp3 can't be read"):
        probe({"path": str(tmp_path / "missing.mp3"), "name": "https://example.org/a.mp3"})


def test_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as output:
        add_pictures(output, video_stream(output), 1)
    assert "holds video but no sound" in refused(path).message


def test_the_default_stream_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        first = output.add_stream("flac", rate=16000, layout="mono")
        second = output.add_stream("flac", rate=16000, layout="mono")
        second.disposition = type(second.disposition).default
        for stream in (first, second):
            encode(output, stream, signal(1, 16000))
            output.mux(stream.encode(None))
    facts = probe({"path": str(path)})
    assert (facts["stream"], facts["streams"]) == (1, 2)


def test_cover_art_is_no_video(made: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "cover.mp3"
    body = b"\0image/png\0\3\0" + PNG
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body + b"TIT2" + struct.pack(">IH", 6, 0) + b"\0Title"
    size = len(frame)
    head = b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(head + frame + made["mp3"][_id3(made["mp3"]) :])
    facts = probe({"path": str(path)})
    assert (facts["has_video"], facts["title"], facts["codec"]) == (False, "Title", "mp3")


def _id3(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


def test_protected_sound(made: dict[str, bytes], tmp_path: Path) -> None:
    for tag in (b"enca", b"drms"):
        path = tmp_path / "a.m4a"
        path.write_bytes(made["m4a"].replace(b"mp4a", tag, 1))
        assert "protected (DRM)" in refused(path).message


def wav(
    channels: int = 1, rate: int = 16000, size: int | None = None, body: bytes = bytes(32000), tag: int = 1
) -> bytes:
    size = len(body) if size is None else size
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * 2 * channels & 0xFFFFFFFF, 2 * channels & 0xFFFF, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + body
    return b"RIFF" + struct.pack("<I", min(0xFFFFFFFF, len(chunks) + 4)) + b"WAVE" + chunks


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (wav(channels=0), "channels|not media|sample rate|no sound"),
        (wav(channels=65535), "channels|not media|sample rate|no sound"),
        (wav(rate=0), "sample rate|not media|no sound"),
        (wav(rate=0xFFFFFFFF), "sample rate|not media|no sound"),
        (wav(body=b""), "no sound"),
        (wav(tag=0x7777), "can't be decoded|no sound|not media"),
        (wav(size=10**9), "is cut short"),
    ],
)
def test_impossible_headers(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        probe({"path": str(path)})


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF - 44, 0x7FFFF000])
def test_wav_of_a_writer_that_did_not_know_the_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(size=size))
    assert probe({"path": str(path)})["duration"] == pytest.approx(1.0)


def test_live_webm_has_no_length_and_gets_one(tmp_path: Path) -> None:
    path = make(tmp_path / "live.webm", live="1")
    assert probe({"path": str(path)})["duration"] == pytest.approx(5.0, abs=0.08)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(WHOLE), seed=st.integers(0, 10**6), holes=st.integers(1, 40), drop=st.booleans())
def test_broken_files_give_facts_or_one_sentence(
    made: dict[str, bytes], tmp_path: Path, kind: str, seed: int, holes: int, drop: bool
) -> None:
    chance = random.Random(seed)
    data = bytearray(made[kind])
    for _ in range(holes):
        at = chance.randrange(200) if chance.random() < 0.5 else chance.randrange(len(data))
        data[at] = chance.randrange(256)
    if drop:
        del data[chance.randrange(len(data)) :]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data or b"x")
    try:
        facts = probe({"path": str(path)})
        total = sum(map(len, blocks(path, facts["stream"])))
    except SourceError as error:
        assert "a." in error.message and "\n" not in error.message
    except MemoryError:
        pass  # a header that asks for more than there is: FFmpeg refuses, and a worker's end by that is an overrun
    else:
        assert facts["duration"] > 0 and total > 0
