"""The samples that come out of a file, and when."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from making import KINDS, add_pictures, encode, make, signal, video_stream

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.media.audio import BLOCK, blocks, probe


def read(path: Path, start: int = 0) -> Any:
    got = list(blocks(path, probe({"path": str(path)})["stream"], start))
    return np.concatenate(got) if got else np.zeros(0, np.int16)


def tone(samples: Any) -> float:
    """The loudest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 16000 / len(samples))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_sound_is_what_was_put_in(tmp_path: Path, kind: str) -> None:
    samples = read(make(tmp_path / f"a.{kind}"))
    assert samples.dtype == np.int16
    assert tone(samples[8000:72000]) == pytest.approx(440, abs=1)
    assert np.std(samples[8000:72000]) == pytest.approx(8000 / 2**0.5, rel=0.05)


@pytest.mark.parametrize("kind", ["mp3", "aac", "ogg", "m4a", "flac", "mkv"])
@pytest.mark.parametrize("start", [1, BLOCK, 12_345, 70_001])
def test_a_later_start_gives_the_same_samples(tmp_path: Path, kind: str, start: int) -> None:
    path = make(tmp_path / f"a.{kind}")
    assert np.array_equal(read(path, start), read(path)[start:])


def test_blocks_are_half_a_second_and_the_last_is_shorter(tmp_path: Path) -> None:
    sizes = [len(block) for block in blocks(make(tmp_path / "a.wav", 2.3), 0)]
    assert sizes == [8000, 8000, 8000, 8000, 4800]


def test_a_start_after_the_end_gives_nothing(tmp_path: Path) -> None:
    assert len(read(make(tmp_path / "a.wav"), 10**9)) == 0


def test_real_speech_resumes_to_the_sample(shared_data: Path) -> None:
    path = shared_data / "speech" / "dictation.mp3"
    samples = read(path)
    assert len(samples) == pytest.approx(274.332 * 16000, abs=20)
    assert np.array_equal(read(path, 3_210_987), samples[3_210_987:])


def gapped(path: Path, pieces: list[tuple[float, float]], pictures: float = 0) -> Path:
    """Tones of ``(start, seconds)`` on the timeline of a Matroska file."""
    with av.open(str(path), "w", format="matroska") as output:
        video = video_stream(output) if pictures else None
        stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        if video:
            add_pictures(output, video, pictures)
        for start, seconds in pieces:
            encode(output, stream, signal(seconds, 16000), round(start * 16000))
        output.mux(stream.encode(None))
    return path


def loud(samples: Any) -> list[bool]:
    """Whether each tenth of a second holds sound."""
    return [bool(np.abs(samples[at : at + 1600]).max() > 1000) for at in range(0, len(samples), 1600)]


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    samples = read(gapped(tmp_path / "a.mkv", [(0, 1), (3, 1)]))
    assert len(samples) == pytest.approx(4 * 16000, abs=20)
    assert loud(samples[:64000]) == [True] * 10 + [False] * 20 + [True] * 10


def test_a_resume_within_and_after_a_gap(tmp_path: Path) -> None:
    path = gapped(tmp_path / "a.mkv", [(0, 1), (3, 1)])
    for start in (20_000, 50_000):
        assert np.array_equal(read(path, start), read(path)[start:])


def test_sound_that_begins_late_keeps_its_time(tmp_path: Path) -> None:
    samples = read(gapped(tmp_path / "a.mkv", [(2, 1)], pictures=3))
    assert loud(samples[:48000]) == [False] * 20 + [True] * 10


def test_a_huge_start_offset_is_no_gap(tmp_path: Path) -> None:
    samples = read(gapped(tmp_path / "a.mkv", [(40_000, 1)]))
    assert len(samples) == pytest.approx(16000, abs=20)


def test_a_broken_clock_is_ignored(tmp_path: Path) -> None:
    samples = read(gapped(tmp_path / "a.mkv", [(0, 1), (90_000, 1)]))
    assert len(samples) == pytest.approx(32000, abs=40)


def test_time_that_runs_backwards_drops_nothing(tmp_path: Path) -> None:
    """Two recordings of a transport stream, one after the other."""
    data = b""
    for name in ("a.ts", "b.ts"):
        with av.open(str(tmp_path / name), "w", format="mpegts") as output:
            stream = output.add_stream("mp2", rate=32000, layout="mono")
            encode(output, stream, signal(2, 32000))
            output.mux(stream.encode(None))
        data += (tmp_path / name).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(data)
    samples = np.concatenate(list(blocks(path, 0)))
    assert len(samples) == pytest.approx(64000, abs=4000)
    assert sum(loud(samples)) >= 39


def test_the_format_may_change_in_the_middle(tmp_path: Path) -> None:
    """ADTS streams of two rates and layouts in one file, as radio archives have them."""
    data = b""
    for rate, layout in ((44100, "mono"), (24000, "stereo"), (44100, "mono")):
        with av.open(str(tmp_path / "one.aac"), "w", format="adts") as output:
            stream = output.add_stream("aac", rate=rate, layout=layout)
            encode(output, stream, signal(2, rate))
            output.mux(stream.encode(None))
        data += (tmp_path / "one.aac").read_bytes()
    path = tmp_path / "a.aac"
    path.write_bytes(data)
    samples = np.concatenate(list(blocks(path, 0)))
    assert len(samples) == pytest.approx(6 * 16000, abs=6000)
    for start in (8000, 40000, 72000):
        assert tone(samples[start : start + 16000]) == pytest.approx(440, abs=2)
    assert np.array_equal(np.concatenate(list(blocks(path, 0, 50_000))), samples[50_000:])


def damaged(path: Path, source: Path, frames: int) -> Path:
    """A copy whose first bytes of ``frames`` packets in the middle are noise."""
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(source.read_bytes())
    middle = len(places) // 2 - frames // 2
    for at, size in places[middle : middle + frames]:
        data[at : at + size] = random.Random(at).randbytes(size)
    path.write_bytes(data)
    return path


def test_a_few_damaged_frames_are_skipped_and_times_stay(tmp_path: Path) -> None:
    said: list[str] = []
    context.enter(context.Context(send_log=said.append))
    source = make(tmp_path / "a.m4a", 10)
    before = read(source)
    after = read(damaged(tmp_path / "b.m4a", source, 8))
    assert len(after) == pytest.approx(len(before), abs=1600)
    assert np.array_equal(after[:64000], before[:64000])
    assert tone(after[112000:144000]) == pytest.approx(440, abs=1)
    assert any("damaged frames were skipped" in line for line in said)


def test_much_damage_is_refused(tmp_path: Path) -> None:
    path = damaged(tmp_path / "b.m4a", make(tmp_path / "a.m4a", 10), 300)
    with pytest.raises(SourceError, match=r"b.m4a is damaged: \d+ of its \d+ frames can't be decoded"):
        read(path)


def test_the_reader_itself_notices_a_cut(tmp_path: Path) -> None:
    data = make(tmp_path / "a.flac", 20).read_bytes()
    path = tmp_path / "cut.flac"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=r"cut.flac is cut short: its sound ends at \d+\.\d s of 20\.0 s"):
        list(blocks(path, 0))


def test_a_stream_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no audio stream 7"):
        list(blocks(make(tmp_path / "a.wav"), 7))


MEASURE = """
import sys
from narrowboat.media.audio import blocks, probe
def anon():
    total, resident, shared = map(int, open("/proc/self/statm").read().split()[:3])
    return (resident - shared) * 4096
facts = probe({"path": sys.argv[1]})
peak = anon()
for number, block in enumerate(blocks(sys.argv[1], facts["stream"])):
    if number % 50 == 0:
        peak = max(peak, anon())
print(peak, round(facts["duration"]))
"""


def test_memory_is_flat(tmp_path: Path) -> None:
    """Twenty minutes take no more than one does."""
    data = make(tmp_path / "a.mp3", 20).read_bytes()
    data = data[data.index(b"\xff\xfb", max(data.find(b"Xing"), data.find(b"Info"))) :]
    peaks = []
    for copies in (3, 60):
        path = tmp_path / f"{copies}.mp3"
        path.write_bytes(data * copies)
        done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
        peak, seconds = map(int, done.stdout.split())
        assert seconds == pytest.approx(copies * 20, rel=0.02)
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 3 << 20
    assert peaks[1] < 48 << 20
