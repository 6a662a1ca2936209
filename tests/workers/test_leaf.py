"""Room for groups inside ours on v2: real cgroup2 rules, with a controller that is free to be tried with.

Where memory is on v1, cgroup2 has other controllers, and the same rules for them: no processes beside limits.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from narrowboat.workers.leaf import Leaf, Unavailable

CODE = """
import json, os, subprocess, sys, time
from pathlib import Path
from narrowboat.workers.leaf import Leaf, Unavailable
group, controller = Path(sys.argv[1]), sys.argv[2]
(group / "cgroup.procs").write_text("0")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
leaf = Leaf(group, "ours-supervisor", controller)
told = {}
try:
    leaf.open()
    told["inside"] = (group / "cgroup.procs").read_text().split()
    told["moved"] = sorted((group / "ours-supervisor/cgroup.procs").read_text().split()) == sorted(
        [str(os.getpid()), str(child.pid)])
    (group / "ours-0").mkdir()
    told["controllers"] = (group / "ours-0/cgroup.controllers").read_text().split()
    second = Leaf(group / "ours-supervisor", "ours-supervisor", controller)
    second.open()  # another runner of this process
    second.close()
    told["second"] = str(second.folder) == str(group)
    leaf.close()
    told["not yet"] = (group / "ours-supervisor").exists()
    (group / "ours-0").rmdir()
    leaf.close()
except Unavailable as error:
    told["why"] = str(error)
told["back"] = str(os.getpid()) in (group / "cgroup.procs").read_text().split()
told["left"] = [entry.name for entry in group.iterdir() if entry.is_dir()]
told["enabled"] = (group / "cgroup.subtree_control").read_text().split()
child.kill()
child.wait()
print(json.dumps(told))
"""


def cgroup2() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        if tail.split()[0] == "cgroup2":
            return Path(head.split()[4])
    return None


@pytest.fixture
def group() -> Iterator[tuple[Path, str]]:
    """A group of cgroup2, and a controller that it has."""
    top = cgroup2()
    controllers = (top / "cgroup.controllers").read_text().split() if top else []
    if top is None or not controllers:
        pytest.skip("needs a cgroup2 with a controller")
    controller = "memory" if "memory" in controllers else controllers[0]
    control, folder = top / "cgroup.subtree_control", top / f"narrowboat-test-{uuid.uuid4().hex[:8]}"
    enabled = controller in control.read_text().split()
    try:
        if not enabled:
            control.write_text(f"+{controller}")
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"needs a cgroup2 that may be written: {error}")
    try:
        yield folder, controller
    finally:
        for inner in folder.glob("*/"):
            inner.rmdir()
        folder.rmdir()
        if not enabled:
            control.write_text(f"-{controller}")


def told_in(group: tuple[Path, str]) -> dict[str, object]:
    folder, controller = group
    command = [sys.executable, "-c", CODE, str(folder), controller]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_we_move_to_a_leaf_and_back(group: tuple[Path, str]) -> None:
    assert told_in(group) == {
        "inside": [],
        "moved": True,
        "controllers": [group[1]],
        "second": True,
        "not yet": True,
        "back": True,
        "left": [],
        "enabled": [],
    }


def test_others_in_our_group_are_not_moved(group: tuple[Path, str]) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        (group[0] / "cgroup.procs").write_text(str(other.pid))
        told = told_in(group)
        assert (group[0] / "cgroup.procs").read_text().split() == [str(other.pid)]
    finally:
        other.kill()
        other.wait()
    assert told.pop("why") == f"1 other processes are in our cgroup (such as {other.pid})"
    assert told == {"back": True, "left": [], "enabled": []}


def test_without_the_controller_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    with pytest.raises(Unavailable, match="the memory controller is not given to our cgroup"):
        Leaf(tmp_path, "ours").open()


def test_where_limits_are_possible_already_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    leaf = Leaf(tmp_path, "ours")
    leaf.open()
    leaf.close()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "memory\n"
    assert not (tmp_path / "ours").exists()
