"""Transcripts as files: what they hold, that others can read them, and that none is ever half there."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pysubs2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from narrowboat.errors import OutputError, UsageError
from narrowboat.media.captions import write

FORMATS = ("txt", "srt", "vtt", "json")


def segment(start: float, end: float, text: str) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text, "confidence": 0.87654}


def run(
    folder: Path, segments: list[dict[str, Any]], formats: tuple[str, ...] = FORMATS, **inputs: Any
) -> dict[str, str]:
    items = folder / "items.jsonl"
    groups = [segments[at : at + 3] for at in range(0, len(segments), 3)]
    items.write_text(
        "".join(json.dumps({"start": g[0]["start"], "end": g[-1]["end"], "segments": g}) + "\n" for g in groups)
    )
    targets = [{"format": kind, "path": str(folder / "out" / f"talk.{kind}")} for kind in formats]
    given_ = {"facts": {"duration": 12.3456}, "source": "talk.mp3", "engine": {"name": "e"}, "language": "en", **inputs}
    done = write({"items": str(items), "targets": targets, **given_})
    got = {target["format"]: Path(target["path"]).read_bytes() for target in targets}
    assert done["outputs"] == [
        {"format": t["format"], "path": t["path"], "bytes": len(got[t["format"]])} for t in targets
    ]
    assert sorted(p.name for p in (folder / "out").iterdir()) == sorted(f"talk.{kind}" for kind in formats)
    return {kind: data.decode() for kind, data in got.items()}


SPEECH = [
    segment(0.5, 2.0, " And so, my fellow Americans,"),
    segment(2.0, 4.25, "ask not <what> your country & co."),
    segment(3.9, 9.0, "can do for you: " + "ask what you can do for your country, " * 3 + "now."),
    segment(11.0, 12.0, "Thank\nyou."),
]


def test_the_four_formats(tmp_path: Path) -> None:
    got = run(tmp_path, SPEECH)
    country = "ask what you can do for your country, " * 3
    joined = f"And so, my fellow Americans, ask not <what> your country & co. can do for you: {country}now."
    assert got["txt"] == f"{joined}\n\nThank you.\n"
    assert got["srt"].startswith("1\n00:00:00,500 --> 00:00:02,000\nAnd so, my fellow Americans,\n\n2\n00:00:02,000")
    assert got["vtt"].startswith(
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nAnd so, my fellow Americans,\n\n00:00:02.000"
    )
    assert "ask not &lt;what&gt; your country &amp; co." in got["vtt"]
    data = json.loads(got["json"])
    assert got["json"].endswith("}\n")
    assert {key: data[key] for key in ("version", "source", "media", "engine", "language")} == {
        "version": 1,
        "source": "talk.mp3",
        "media": {"duration": 12.346},
        "engine": {"name": "e"},
        "language": "en",
    }
    assert data["segments"][3] == {"id": 3, "start": 11.0, "end": 12.0, "text": "Thank you.", "confidence": 0.877}


def test_an_empty_transcript(tmp_path: Path) -> None:
    got = run(tmp_path, [])
    assert (got["txt"], got["srt"], got["vtt"]) == ("", "", "WEBVTT\n")
    assert json.loads(got["json"])["segments"] == []


def test_a_new_paragraph_where_one_gets_long(tmp_path: Path) -> None:
    segments = [segment(i, i + 1, f"This is sentence number {i}, without a pause.") for i in range(40)]
    paragraphs = run(tmp_path, segments, ("txt",))["txt"].split("\n\n")
    assert len(paragraphs) == 3
    assert all(len(paragraph) < 700 and paragraph.rstrip().endswith(".") for paragraph in paragraphs)


def test_languages_without_spaces(tmp_path: Path) -> None:
    segments = [segment(0, 1, "皆さん、"), segment(1, 2, "こんにちは。" * 20)]
    got = run(tmp_path, segments, language="ja")
    assert got["txt"].startswith("皆さん、こんにちは。")
    assert max(map(len, got["srt"].splitlines())) <= 42


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert run(tmp_path, SPEECH) == run(tmp_path, SPEECH)


def ffmpeg_cues(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux() if packet.size)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
spans = st.lists(st.tuples(st.floats(-1, 40_000), st.floats(-2, 40), texts), max_size=12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans=spans)
def test_whatever_is_said_others_can_read_it(tmp_path: Path, spans: list[tuple[float, float, str]]) -> None:
    spans.sort(key=lambda span: span[0])
    got = run(tmp_path, [segment(start, start + length, text) for start, length, text in spans])
    assert len(json.loads(got["json"])["segments"]) == len(spans)
    for kind in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(got[kind], format_=kind).events if "-->" in got[kind] else []
        end = 0
        for cue in cues:
            assert end <= cue.start < cue.end
            end = cue.end
            lines = cue.text.split("\\N")
            assert 1 <= len(lines) <= 2
        assert len(cues) == got[kind].count(" --> ")
        if cues:
            assert ffmpeg_cues(tmp_path / "out" / f"talk.{kind}") == len(cues)
    assert all(len(line) <= 42 for line in got["srt"].splitlines())


def test_long_text_is_spread_over_its_time(tmp_path: Path) -> None:
    run(tmp_path, [segment(100, 130, "word " * 100)])
    cues = pysubs2.load(str(tmp_path / "out" / "talk.srt")).events
    assert (cues[0].start, cues[-1].end) == (100_000, 130_000)
    assert all(before.end == after.start for before, after in pairwise(cues))
    assert all(cue.duration > 1000 for cue in cues)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name != "items.jsonl" and path.is_file())


def test_one_bad_target_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "items.jsonl").write_text(json.dumps({"segments": SPEECH}) + "\n")
    targets = [
        {"format": "srt", "path": str(tmp_path / "talk.srt")},
        {"format": "txt", "path": str(tmp_path / "file" / "talk.txt")},
    ]
    with pytest.raises(OutputError, match=r"file/talk.txt can't be written: ") as caught:
        write({"items": str(tmp_path / "items.jsonl"), "targets": targets})
    assert caught.value.facts["path"] == str(tmp_path / "file" / "talk.txt")
    assert left(tmp_path) == ["file"]


def test_broken_items_leave_the_old_output_alone(tmp_path: Path) -> None:
    old = run(tmp_path, SPEECH)["srt"]
    (tmp_path / "items.jsonl").write_text(json.dumps({"segments": SPEECH}) + "\n{broken")
    with pytest.raises(ValueError):
        write(
            {
                "items": str(tmp_path / "items.jsonl"),
                "targets": [{"format": "srt", "path": str(tmp_path / "out" / "talk.srt")}],
            }
        )
    assert (tmp_path / "out" / "talk.srt").read_text() == old
    assert ".talk.srt.part" not in left(tmp_path)


def test_targets_that_make_no_sense(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").touch()
    same = {"format": "srt", "path": str(tmp_path / "a")}
    for targets, error in [
        ([{"format": "doc", "path": "x"}], UsageError),
        ([same, same], UsageError),
        ([{"format": "srt", "path": str(tmp_path)}], OutputError),
    ]:
        with pytest.raises(error):
            write({"items": str(tmp_path / "items.jsonl"), "targets": targets})
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "said"),
    [("64k", "disk_full writing captions needs 233 KiB in"), ("256k", "disk_full no space left to write talk.")],
)
def test_full_disk(tmp_path: Path, size: str, said: str) -> None:
    """On a small file system, where this machine lets one be made: before the first byte, or on the way."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["unshare", "-Urm", "sh", "-ec", f'mount -t tmpfs -o size={size} none "$0"; exec "$@"', str(small)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount a small file system")
    items = tmp_path / "items.jsonl"
    items.write_text((json.dumps({"segments": SPEECH}) + "\n") * 500)
    code = (
        "import os, sys; from narrowboat.media.captions import write\n"
        "targets = [{'format': kind, 'path': f'{sys.argv[2]}/talk.{kind}'} for kind in ('srt', 'json')]\n"
        "try: write({'items': sys.argv[1], 'targets': targets})\n"
        "except Exception as error: print(error.code, error.message, os.listdir(sys.argv[2]))\n"
    )
    command = [*mount, sys.executable, "-c", code, str(items), str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said)
    assert done.stdout.endswith("[]\n")


def test_ten_hours_take_no_more_memory(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from narrowboat.media.captions import write\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "targets = [{'format': kind, 'path': f'{sys.argv[2]}.{kind}'} for kind in ('txt', 'srt', 'vtt', 'json')]\n"
        "write({'items': sys.argv[1], 'targets': targets})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    items = tmp_path / "items.jsonl"
    with items.open("w") as file:
        for at in range(0, 36_000, 12):
            parts = [
                segment(at + i * 3, at + i * 3 + 2.9, "What was said here takes three seconds to say.")
                for i in range(4)
            ]
            file.write(json.dumps({"segments": parts}) + "\n")
    command = [sys.executable, "-c", code, str(items), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 2 << 20
