"""Every kind of attack once, mixed with honest tasks, in a real box: the short form of ``bench/soak.py``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from boxes import boxed

SOAK = Path(__file__).parents[2] / "bench" / "soak.py"
TASKS = 52  # each kind once, and a few as the dice fall


def _script() -> Any:
    sys.path.insert(0, str(SOAK.parent))
    try:
        import soak as script
    finally:
        sys.path.remove(str(SOAK.parent))
    return script


def soak(box: list[str], home: Path, guard: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the soak found, and what the box measured."""
    figures = home / "figures.json"
    kinds = sorted(_script().BY_NAME)
    options = [
        "--only",
        ",".join(kinds),
        "--tasks",
        TASKS,
        "--memory",
        "256M",
        "--seed",
        5,
        "--json",
        figures,
        "--home",
        home,
    ]
    done = subprocess.run(
        [*box, "300M", "--", sys.executable, str(SOAK), "--guard", guard, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert figures.exists(), done.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    assert (done.returncode == 0) == (found["violations"] == []), done.stderr
    return found, boxed(done.stdout)


@pytest.mark.parametrize(("guard", "tries"), [("auto", 1), ("polling,oom-score", 2)])
def test_no_attack_breaks_a_promise(box: list[str], tmp_path: Path, guard: str, tries: int) -> None:
    """Polling alone must be run when it asks to be: on a machine that starves it, it may try twice."""
    for _ in range(tries):
        found, measured = soak(box, tmp_path, guard)
        if not found["violations"]:
            break
    assert found["violations"] == []
    assert found["left_out"] == []
    assert (measured["kernel_kills"], measured["left"]) == (0, 0)


def test_the_soak_notices_what_went_wrong() -> None:
    script = _script()
    tally = script.Tally()
    for n, (kind, end, wrong) in enumerate(
        [
            ("honest", "done", None),
            ("honest", "done", "it gave 3"),
            ("honest", "overrun", None),
            ("segfault", "worker_died", None),
            ("segfault", "done", None),
        ]
    ):
        tally.hear(json.dumps({"event": "began", "n": n, "kind": kind}))
        ended = {"event": "ended", "n": n, "kind": kind, "end": end, "message": "m", "wrong": wrong}
        tally.hear(json.dumps(ended))
    assert [violation.split()[1] for violation in tally.violations] == ["1", "2", "4"]
    assert tally.outcomes["honest"] == {"done": 2, "overrun": 1}
    good = {
        "rc": 0,
        "closed": True,
        "ended": 5,
        "on_their_way": "",
        "enforced": True,
        "run": {"limit_bytes": 512 << 20},
        "kernel_kills": {"outside": 0},
        "memory_used": {"peak_bytes": 1, "allowed_bytes": 2, "peak_with": ""},
        "supervisor": {"slope_mib_per_1000": 0.1},
        "journal": {
            "cleaned_rc": 0,
            "cleaned_bytes": 1,
            "log_peak_bytes": 1,
            "bytes_per_task_by_half": [1000.0, 1100.0],
        },
        "left": {"processes": [], "files": [], "groups": []},
    }
    assert script.judge(good, 5) == []
    bad: dict[str, Any] = {
        "rc": 1,
        "ended": 4,
        "kernel_kills": {"outside": 1},
        "memory_used": {"peak_bytes": 3, "allowed_bytes": 2, "peak_with": ""},
        "journal": {**good["journal"], "cleaned_bytes": 1 << 30},
        "left": {"processes": ["1 sleep"], "files": [], "groups": []},
    }
    for name, value in bad.items():
        assert len(script.judge({**good, name: value}, 5)) == 1, name
    rising = {**good, "ended": script.JUDGED_FROM, "supervisor": {"slope_mib_per_1000": 0.3}}
    assert len(script.judge(rising, script.JUDGED_FROM)) == 1
