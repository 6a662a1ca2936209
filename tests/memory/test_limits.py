"""Finding the limit: made-up file systems of every kind of container, and one real box."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from narrowboat.memory.cgroups import own_groups
from narrowboat.memory.machine import LinuxMachine, cpu_quota, physical_memory
from narrowboat.sizes import MIB

MEMINFO = f"MemTotal: {16 << 20} kB\nMemFree: {2 << 20} kB\nMemAvailable: {8 << 20} kB\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def mount(root: str, point: str, kind: str, options: str) -> str:
    return f"30 20 0:25 {root} {point} rw,nosuid - {kind} {kind} {options}\n"


def v1_group(folder: str, limit: int, hierarchical: int, rss: int, shmem: int = 0) -> dict[str, str]:
    stat = f"rss 1\ntotal_rss {rss}\ntotal_shmem {shmem}\nhierarchical_memory_limit {hierarchical}\n"
    return {f"{folder}/memory.limit_in_bytes": str(limit), f"{folder}/memory.stat": stat}


def v2_group(folder: str, limit: str, anon: int = 0, shmem: int = 0) -> dict[str, str]:
    stat = f"anon {anon}\nfile 12345\nshmem {shmem}\n"
    return {f"{folder}/memory.max": limit, f"{folder}/memory.stat": stat}


NONE_V1 = 9223372036854771712


def test_without_cgroups_the_limit_is_the_machine(tmp_path: Path) -> None:
    found = LinuxMachine(root=write(tmp_path, {})).limit()
    assert (found.bytes, found.source) == (physical_memory(), "machine")


def test_v2_takes_the_tightest_ancestor(tmp_path: Path) -> None:
    top = "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/app\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            **v2_group(f"{top}/pod", str(300 * MIB)),
            **v2_group(f"{top}/pod/app", str(500 * MIB)),
        },
    )
    found = LinuxMachine(root=root).limit()
    assert (found.bytes, found.source) == (300 * MIB, "cgroup v2 /pod")


def test_v2_inside_a_cgroup_namespace(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            **v2_group("sys/fs/cgroup", str(512 * MIB)),
        },
    )
    assert LinuxMachine(root=root).limit().bytes == 512 * MIB


def test_v1_container_that_sees_only_its_own_part(tmp_path: Path) -> None:
    point = "sys/fs/cgroup/memory"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/1f\n0::/\n",
            "proc/self/mountinfo": mount("/docker/1f", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
            **v1_group(point, 512 * MIB, 512 * MIB, rss=0),
        },
    )
    assert LinuxMachine(root=root).limit().bytes == 512 * MIB


def test_v1_limit_of_an_ancestor_above_the_mount(tmp_path: Path) -> None:
    point = "sys/fs/cgroup/memory"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
            **v1_group(point, NONE_V1, 256 * MIB, rss=0),
        },
    )
    assert LinuxMachine(root=root).limit().bytes == 256 * MIB


def test_unlimited_groups_are_no_limit(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            **v2_group("sys/fs/cgroup/user.slice", "max\n"),
        },
    )
    assert LinuxMachine(root=root).limit().source == "machine"


def test_a_v2_root_without_memory_files_is_passed_over(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../..\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            "sys/fs/cgroup/cgroup.procs": "1\n",
        },
    )
    assert LinuxMachine(root=root).limit().source == "machine"


def test_the_override_is_the_limit_and_a_smaller_container_still_bounds_the_room(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            **v2_group("sys/fs/cgroup", str(512 * MIB), anon=100 * MIB),
        },
    )
    machine = LinuxMachine(900 * MIB, root=root)
    assert machine.limit().bytes == 900 * MIB
    assert machine.room(own_bytes=100 * MIB).bytes == 512 * MIB


def test_what_others_use_in_the_box_is_not_ours(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            **v2_group("sys/fs/cgroup", str(1024 * MIB), anon=430 * MIB, shmem=70 * MIB),
        },
    )
    room = LinuxMachine(root=root).room(own_bytes=100 * MIB)
    assert (room.others_bytes, room.bytes) == (400 * MIB, 624 * MIB)


def test_a_machine_with_little_left_bounds_the_room(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 204800 kB\n"})
    room = LinuxMachine(root=root).room(own_bytes=50 * MIB)
    assert (room.bytes, room.bound_by) == (250 * MIB, "machine")


def test_kernel_kills_at_the_workers_own_limits_are_taken_out(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/app/memory.events"  # the root of all has none
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/app\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "rw"),
            group: "oom 0\noom_kill 0\n",
        },
    )
    machine = LinuxMachine(root=root)
    machine.limit_kills = lambda: 2
    assert machine.kernel_kills() == 0
    write(root, {group: "oom 2\noom_kill 2\n"})
    assert machine.kernel_kills() == 0
    write(root, {group: "oom 3\noom_kill 3\n"})
    assert machine.kernel_kills() == 1


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_cpu_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


def test_a_real_box_is_found(box: list[str]) -> None:
    code = (
        "import json; from narrowboat.memory.machine import LinuxMachine; limit = LinuxMachine().limit(); "
        "print(json.dumps([limit.bytes, limit.source]))"
    )
    done = subprocess.run([*box, "300M", "--", sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, source = json.loads(done.stderr.splitlines()[0])  # the box keeps stdout for its report
    assert size == 300 * MIB
    assert source.startswith("cgroup v")


def test_groups_of_this_process_can_be_read() -> None:
    for group in own_groups():
        assert group.limit() is None or group.limit() > 0
        assert group.kernel_kills() >= 0
