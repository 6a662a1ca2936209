"""Which means of the guard a run has: as asked for, as far as they can be had, and told truly."""

from pathlib import Path

import pytest

from narrowboat.errors import UsageError
from narrowboat.memory.cgroups import Group
from narrowboat.workers.means import choose
from narrowboat.workers.tiers import tiers


def proc(root: Path) -> Path:
    for name in ("statm", "oom_score_adj"):
        path = root / "proc/self" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def in_force(root: Path, wanted: str) -> dict[str, bool]:
    made = choose(wanted, [], proc(root))
    return {tier.name: tier.in_force for tier in tiers(made, []) if tier.name not in ("own session", "subreaper")}


def test_auto_is_all_that_can_be_had(tmp_path: Path) -> None:
    assert in_force(tmp_path, "auto") == {"cgroup": False, "polling": True, "oom-score": True, "rlimit": True}


@pytest.mark.parametrize("name", ["polling", "oom-score"])
def test_each_can_be_the_only_one(tmp_path: Path, name: str) -> None:
    found = in_force(tmp_path, name)
    assert [tier for tier, works in found.items() if works] == [name]


def test_names_may_have_spaces_or_come_in_a_list(tmp_path: Path) -> None:
    assert choose("polling, rlimit", [], proc(tmp_path)).absent.keys() == {"cgroup", "oom-score"}
    assert choose(["polling", "rlimit"], [], proc(tmp_path)).absent.keys() == {"cgroup", "oom-score"}


def test_one_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'pooling'"):
        choose("pooling", [], proc(tmp_path))


def test_one_that_is_named_and_can_not_be_had_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't use cgroup here: no memory cgroup is mounted"):
        choose("cgroup,polling", [], proc(tmp_path))
    with pytest.raises(UsageError, match="can't use polling here: there is no /proc"):
        choose("polling", [], tmp_path / "nothing")


def test_doctor_says_why_one_is_not_in_force(tmp_path: Path) -> None:
    told = {tier.name: tier.detail for tier in tiers(choose("auto", [], proc(tmp_path)), [])}
    assert told["cgroup"] == "no memory cgroup is mounted that can be seen from here"
    told = {tier.name: tier.detail for tier in tiers(choose("polling", [], proc(tmp_path)), [])}
    assert told["rlimit"] == "left out by --guard"


def test_a_group_that_dies_as_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "memory.oom.group").write_text("1\n")
    group = Group(tmp_path, 2, "/app", top=True)
    told = tiers(choose("polling", [], proc(tmp_path)), [group])[-1]
    assert (told.name, told.in_force) == ("memory.oom.group off", False)
    assert "set on /app" in told.detail
