"""What is deployed is what is tested: the lock of the image, and the files that it is made of."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")


def locked(name: str) -> dict[str, list[str]]:
    """What a lock pins: ``name==version`` and its hashes."""
    found: dict[str, list[str]] = {}
    pin = ""
    for line in (ROOT / "requirements" / name).read_text("utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+(?:\[[^]]*\])?==\S+)", line):
            pin = match[1]
            found[pin] = []
        elif match := re.search(r"--hash=(\S+)", line):
            found[pin].append(match[1])
    return found


def test_the_image_has_the_packages_that_are_tested_and_no_others() -> None:
    run, dev = locked("run.lock"), locked("dev.lock")
    assert len(run) > 20
    assert {pin: dev.get(pin) for pin in run} == run


@pytest.mark.parametrize("tool", ["pytest", "mypy", "ruff", "hypothesis", "pip-tools"])
def test_tools_of_developers_are_not_in_the_image(tool: str) -> None:
    assert any(pin.startswith(f"{tool}==") for pin in locked("dev.lock"))
    assert not any(pin.startswith(f"{tool}==") for pin in locked("run.lock"))


def test_all_that_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    names = [name for names in copied for name in names]
    assert {"pyproject.toml", "requirements", "src"} <= set(names)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(names) == let_in
    assert all((ROOT / name).exists() for name in names)
