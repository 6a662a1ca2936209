"""What the documentation shows is true: its Python compiles and uses names that exist, its commands and options are
those of the command line, its links lead somewhere.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text("utf-8")) if name == language]


@cache
def _help(command: str) -> str:
    asked = [sys.executable, "-m", "narrowboat", *([command] if command else []), "--help"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def _words(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]+", text))


@cache
def _commands() -> list[str]:
    listed = _help("").partition("commands:")[2].partition("\n\n")[0]
    commands = re.findall(r"^ {4}([a-z]+)\b", listed, re.MULTILINE)
    assert "transcribe" in commands, "the help does not list the commands"
    return commands


@PAGE
def test_python_compiles_and_imports_what_exists(page: Path) -> None:
    for block in _blocks(page, "python"):
        tree = ast.parse(block)
        compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "narrowboat":
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@PAGE
def test_step_names_lead_to_functions(page: Path) -> None:
    for module, function in re.findall(r'"(narrowboat\.[a-z_.]+):(\w+)"', page.read_text("utf-8")):
        assert callable(getattr(importlib.import_module(module), function))


def test_the_readme_shows_what_the_example_does() -> None:
    shown = [line for block in _blocks(ROOT / "README.md", "python") for line in block.splitlines() if line.strip()]
    example = (ROOT / "examples" / "map.py").read_text("utf-8").splitlines()
    assert shown, "the README shows no Python"
    assert len(shown) <= 20
    assert [line for line in shown if line not in example] == []


@PAGE
def test_commands_and_options_exist(page: Path) -> None:
    for block in [*_blocks(page, ""), *_blocks(page, "sh"), *_blocks(page, "console")]:
        for line in block.splitlines():
            words = (
                shlex.split(line.removeprefix("$ "), comments=True) if line.startswith(("$ ", "narrowboat ")) else []
            )
            if words[:1] == ["narrowboat"]:
                assert words[1] in _commands(), line
                assert _words(line) <= _words(_help(words[1])), line


@PAGE
def test_commands_in_the_text_exist(page: Path) -> None:
    for command in re.findall(r"`narrowboat ([a-z]+)", page.read_text("utf-8")):
        assert command in _commands()


@PAGE
def test_options_in_the_text_exist(page: Path) -> None:
    every = set().union(*(_words(_help(command)) for command in ["", *_commands()]))
    if page.parent.name == "bench":
        every |= set().union(*(_words(script.read_text("utf-8")) for script in (ROOT / "bench").glob("*.py")))
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {option for code in re.findall(r"`([^`\n]+)`", text) for option in _words(code)}
    assert named - every == set()


@PAGE
def test_variables_exist(page: Path) -> None:
    known = set(re.findall(r"NARROWBOAT_[A-Z_]+", "".join(_help(command) for command in ["", *_commands()])))
    assert set(re.findall(r"NARROWBOAT_[A-Z]+(?:_[A-Z]+)*", page.read_text("utf-8"))) <= known


@PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)", page.read_text("utf-8")):
            assert target in targets, f"{page.name}: make {target}"


@PAGE
def test_json_is_json(page: Path) -> None:
    for block in _blocks(page, "json"):
        json.loads(block)
