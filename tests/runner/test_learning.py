"""What is learned of the memory of steps: by a runner, across runs, and as it is told."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Demand, Runner, Step
from narrowboat.cli.main import main
from narrowboat.cli.plot import plot
from narrowboat.errors import Overrun
from narrowboat.journal.journal import Journal
from narrowboat.memory.estimator import FEW
from narrowboat.runner.estimates import Learned, learned
from narrowboat.sizes import MIB

SVG = "{http://www.w3.org/2000/svg}"


def run(home: Path, step: Step, inputs: list[Any], memory: str | int = "400M") -> list[Any]:
    async def work() -> list[Any]:
        async with asyncio.timeout(120), Runner(beside(memory), home=home, cores=1) as runner:
            return [result async for result in runner.map(step, inputs)]

    return asyncio.run(work())


def known(home: Path) -> dict[str, Learned]:
    return {f"{step.step} {step.version}": step for step in asyncio.run(learned(home))}


def allocating(mib: int, memory: str, version: str = "1") -> tuple[Step, list[dict[str, int]]]:
    return Step(steps.allocate, memory=memory, version=version), [{"mib": mib + i} for i in range(FEW + 1)]


def test_a_second_run_knows_what_the_first_one_measured(tmp_path: Path) -> None:
    step, inputs = allocating(20, "200M")
    run(tmp_path, step, inputs)
    found = known(tmp_path)["allocate 1"]
    assert (found.attempts, found.kills, found.inputs) == (FEW + 1, 0, FEW + 1)
    assert found.declared == 200 * MIB
    assert found.largest < found.estimated < 100 * MIB
    assert found.quality is not None
    assert 0 < found.quality < 1
    assert found.waste > 0
    run(tmp_path, step, [{"mib": 19}])
    rows = asyncio.run(_rows(tmp_path))
    assert rows[0].reserved_bytes < 100 * MIB
    assert rows[0].features == {"mib": 19}
    assert rows[0].seconds > 0


async def _rows(home: Path) -> list[Any]:
    return await Journal.read_only(home).peaks("allocate", "1", "")


def test_a_kill_is_charged_and_counted_once_for_its_input(tmp_path: Path) -> None:
    (result,) = run(tmp_path, Step(steps.allocate, memory="24M"), [{"mib": 120, "hold": 0.1}])
    assert result.ok
    found = known(tmp_path)["allocate 1"]
    assert (found.attempts, found.inputs, found.first_kills) == (1, 1, 1)
    assert found.kills >= 2  # twice as much was not enough
    assert found.estimated > 120 * MIB
    (done, *kills) = asyncio.run(_rows(tmp_path))
    assert (done.censored, done.again) == (False, True)
    assert [kill.again for kill in kills] == [True] * (len(kills) - 1) + [False]


def test_one_hog_leaves_the_demands_of_the_others_alone(tmp_path: Path) -> None:
    (result,) = run(tmp_path, Step(steps.hog, memory="24M"), [None], memory="120M")
    assert isinstance(result.error, Overrun)
    found = known(tmp_path)["hog 1"]
    assert found.kills >= 2
    assert found.estimated == found.declared


def test_a_new_version_is_told_apart(tmp_path: Path) -> None:
    async def fill() -> None:
        async with await Journal.open(tmp_path, owner="me") as journal:
            for version, peak in (("1", 300), ("2", 100)):
                journal.add_peak("work", version, "model", {}, 200 * MIB, 200 * MIB, peak * MIB, False)

    asyncio.run(fill())
    found = known(tmp_path)
    assert list(found) == ["work 2", "work 1"]
    assert found["work 2"].estimated > 300 * MIB  # the old version's hint, until enough of the new are known
    assert found["work 2"].quality is None  # no times are known


# -- how it is told ----------------------------------------------------------------------------------------------------


def fill(home: Path) -> None:
    async def work() -> None:
        async with await Journal.open(home, owner="me") as journal:
            for i in range(30):
                size = 40 + 5 * i
                features, declared, killed = {"duration": 60 * i, "flag": True}, 300 * MIB, i == 20
                journal.add_peak(
                    "speak & <go>", "1", "base", features, declared, declared, size * MIB, killed, False, 9
                )
                journal.add_peak("same", "1", "", {}, declared, declared, 50 * MIB, False, False, 9)
            journal.add_peak("once", "1", "", {}, 8 * MIB, 8 * MIB, 3 * MIB, False)

    asyncio.run(work())


def test_the_plot_has_a_panel_for_each_step_and_its_points(tmp_path: Path) -> None:
    fill(tmp_path)
    found = asyncio.run(learned(tmp_path))
    picture = ElementTree.fromstring(plot(found))
    panels = picture.findall(f"{SVG}g")
    titles = [panel[0].text for panel in panels]
    assert titles == ["once", "same", "speak & <go> base"]
    speak = panels[2]
    assert len(speak.findall(f"{SVG}circle")) == 29 + 1  # and the legend's
    assert len([path for path in speak.findall(f"{SVG}path") if path.get("class") == "kill"]) == 1 + 1
    assert "duration" in {text.text for text in speak.findall(f"{SVG}text")}
    numbers = re.findall(r"-?\d+\.?\d*", " ".join(path.get("d") or "" for path in picture.iter(f"{SVG}path")))
    assert all(-5 <= float(number) <= 1000 for number in numbers)
    assert "prefers-color-scheme: dark" in plot(found)


def test_doctor_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, picture = tmp_path / "home", tmp_path / "peaks.svg"
    assert main(["doctor", "--estimates", "--home", str(home)]) == 0
    assert "nothing has been learned yet" in capsys.readouterr().out
    assert not home.exists()
    fill(home)
    assert main(["doctor", "--estimates", "--home", str(home), "--plot", str(picture)]) == 0
    told = capsys.readouterr().out
    assert "a line in duration" in told
    assert "1 of 61 inputs (1.6 %)" in told
    assert ElementTree.parse(picture).getroot().tag == f"{SVG}svg"
    assert main(["doctor", "--estimates", "--home", str(home), "--json"]) == 0
    (_, same, speak) = json.loads(capsys.readouterr().out)["estimates"]
    assert same["allocation_quality"] == pytest.approx(50 / 300, abs=0.001)
    assert (speak["attempts"], speak["kills"], speak["first_try_failures"]) == (29, 1, 1)
    assert main(["doctor", "--plot", str(tmp_path / "nowhere" / "x.svg"), "--home", str(home)]) == 1
    assert "can't be written" in capsys.readouterr().err


# -- the benchmark -----------------------------------------------------------------------------------------------------

BENCH = Path(__file__).parents[2] / "bench"
COLUMNS = "process,status,memory,start,complete,realtime,peak_rss,rchar"


def test_the_benchmark_replays_a_folder_by_its_protocol(tmp_path: Path) -> None:
    rows = [f"steady,COMPLETED,{1 << 30},{i},{i + 1},1000,{100 * MIB},{i}" for i in range(30)]
    rows[25] = f"steady,COMPLETED,{1 << 30},25,26,1000,{400 * MIB},7"
    rows += ["steady,FAILED,1,99,100,1000,1,1", "steady,COMPLETED,1,99,100,-,-,-"]
    rows += [f"small,COMPLETED,1,{i},{i},1,1000,1" for i in range(19)]
    (tmp_path / "trace.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    asked = [sys.executable, str(BENCH / "estimator.py"), str(tmp_path), "--json", str(tmp_path / "figures.json")]
    subprocess.run(asked, check=True, capture_output=True)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["tasks"], figures["failed"], figures["traces"]["trace.csv"]["groups"]) == (21, 1, 1)
    assert figures["first_try_failures"] == pytest.approx(1 / 21, abs=1e-4)
    used = 20 * 100 + 400
    largest = figures["baselines"]["largest seen × 1.05"]
    charged = 16 * 105 + 105 + 210 + 420 + 4 * 420  # the one that failed twice, and those after it
    assert largest["allocation_quality"] == pytest.approx(used / charged, abs=1e-3)
    assert figures["baselines"]["presets"]["first_try_failures"] == 0
    assert figures["allocation_quality"] > 0.5
    assert figures["import_bytes"] < 3_000_000


def test_the_benchmark_says_when_there_is_nothing_to_replay(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / "estimator.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no trace in")


def test_the_declared_demand_of_a_step_is_a_fact_as_well(tmp_path: Path) -> None:
    def demand(facts: Any) -> Demand:
        return Demand((facts["mib"] + 60) * MIB)

    run(tmp_path, Step(steps.allocate, demand=demand), [{"mib": 10 * i, "hold": 0.1} for i in range(8)])
    found = known(tmp_path)["allocate 1"]
    assert found.rule.endswith(("in declared demand", "of declared demand", "in mib", "of mib"))
    assert found.estimated < found.declared
