"""Real video through the command: outputs, doing nothing twice, kills, what makes no sense."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import av
import pytest
from command_harness import Cli
from test_killed import wait_until_gone
from test_while_it_runs import workers_of

from narrowboat.config import default_cache
from narrowboat.engines.packs import fetch_pack
from narrowboat.errors import PackError


@pytest.fixture(scope="session")
def walkers() -> Path:
    """8 seconds of people who walk; skips visibly where the packs can't be had."""
    try:
        fetch_pack("pose", default_cache())
        return fetch_pack("sample-walk", default_cache()) / "demo.mp4"
    except PackError as error:
        pytest.skip(f"needs the packs pose and sample-walk: {error}")


def frames_of(path: Path) -> int:
    with av.open(str(path)) as made:
        return sum(1 for _ in made.decode(video=0))


def test_the_life_of_poses(cli: Cli, walkers: Path) -> None:
    asked = ("pose", walkers, "--trim", "2-3.5", "--every", "3", "--people", "2", "--memory", "512M", "--overlay")
    done = cli.run(*asked, "--formats", "csv,json", "--json")
    assert done.code == 0, done.err
    (job,) = done.json["jobs"]
    assert (job["state"], job["pipeline"]) == ("done", "pose")
    made = sorted(path.name for path in cli.out.iterdir())
    assert made == ["demo.csv", "demo.json", "demo.overlay.mp4", "demo.preview.mp4", "demo.thumbnail.jpg"]
    summary = json.loads((cli.out / "demo.json").read_text())
    assert (summary["frames"], summary["video"]["width"]) == (15, 1768)
    with (cli.out / "demo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 33 * sum(person["frames"] for person in summary["people"])
    assert frames_of(cli.out / "demo.overlay.mp4") == 15
    assert not (cli.home / "scratch").exists()

    again = cli.run(*asked, "--formats", "csv,json")
    assert (again.code, "already done" in again.out) == (0, True)

    analysed = cli.run("analyse", cli.out / "demo.csv", "--formats", "angles", "--memory", "512M")
    assert analysed.code == 0, analysed.err
    assert (cli.out / "demo.angles.csv").read_text().startswith("frame_id,timestamp,person_id,left_elbow,")


def test_killed_and_started_again_poses_and_overlay_end_the_same(cli: Cli, walkers: Path) -> None:
    asked = ("pose", walkers, "--trim", "2-5", "--overlay")
    other = cli.folder / "undisturbed"
    assert cli.run(*asked, NARROWBOAT_HOME=f"{other}-home", NARROWBOAT_OUT=str(other)).code == 0

    running = cli.start(*asked)
    cli.until(lambda: any(job["items"] for job in cli.jobs().values()), running)
    below = workers_of(running.process.pid)
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    wait_until_gone(below)
    on = cli.run(*asked, "--json")
    assert on.code == 0, on.err
    (job,) = on.json["jobs"]
    assert job["items_resumed"] >= 1
    assert (cli.out / "demo.csv").read_bytes() == (other / "demo.csv").read_bytes()
    assert frames_of(cli.out / "demo.overlay.mp4") == frames_of(other / "demo.overlay.mp4") == 90


def test_poses_are_found_and_analysed_in_one_go(cli: Cli, walkers: Path) -> None:
    done = cli.run("pose", walkers, "--trim", "2-3", "--every", "3", "--formats", "parquet", "--analyse")
    assert done.code == 0, done.err
    made = sorted(path.name for path in cli.out.iterdir())
    assert made == ["demo.analysis.json", "demo.angles.csv", "demo.parquet", "demo.report.html"]
    told = json.loads((cli.out / "demo.analysis.json").read_text())
    alone = cli.run("analyse", cli.out / "demo.parquet", NARROWBOAT_OUT=str(cli.folder / "alone"))
    assert alone.code == 0, alone.err
    assert (cli.folder / "alone" / "demo.angles.csv").read_text() == (cli.out / "demo.angles.csv").read_text()
    assert told["detection_rate"] == 1.0


BAD: dict[str, tuple[list[Any], int, str]] = {
    "no such model": (["--model", "huge"], 2, "there is no pose model 'huge'"),
    "no model": (["--model", "./video.mp4"], 2, "is no LiteRT model"),
    "too many": (["--people", "99"], 2, "at most 20 are followed, not 99"),
    "backwards": (["--trim", "9-3"], 2, "ends before it begins"),
    "no time": (["--trim", "soon"], 2, "is no stretch of time"),
    "smooth": (["--smooth", "much"], 2, "choose among off, light, strong"),
    "format": (["--formats", "txt"], 2, "choose among csv, full, parquet, json"),
    "no video": ([], 1, "video.mp4 is not media"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_makes_no_sense_is_refused_in_a_sentence(cli: Cli, walkers: Path, what: str) -> None:
    options, code, sentence = BAD[what]
    (cli.folder / "video.mp4").write_text("no video at all\n" * 40)
    source = walkers if what == "no model" else "video.mp4"
    done = cli.run("pose", source, *options)
    assert done.code == code, done.err
    assert sentence in done.err
    assert not cli.out.exists() or not list(cli.out.iterdir())
