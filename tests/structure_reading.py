"""Reads which package of ours imports which, and holds it against the table of docs/design.md.

Covers: every import statement wherever it stands (inside functions and under TYPE_CHECKING too), relative ones, and
``import_module`` with a written-out name. Does not cover: steps that are named by strings, which load in workers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BASE = {"base"}
SUPERVISOR = {"memory", "journal", "workers", "sources"}

#: part -> the parts that it may import; itself is always allowed.
MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "memory": BASE,
    "journal": BASE,
    "workers": BASE | {"memory"},
    "sources": BASE,
    "media": BASE,
    "catalogue": BASE,
    "engines": BASE | {"catalogue"},
    "runner": BASE | SUPERVISOR,
    "workflows": BASE | {"runner", "catalogue", "root"},
    "steps": BASE | {"sources", "media", "engines", "catalogue"},
    "cli": BASE | {"memory", "runner", "service", "workflows", "catalogue", "root"},
    "service": BASE | {"memory", "runner", "workflows", "catalogue", "root"},
    "root": BASE | {"memory", "runner"},  # the public names, gathered in narrowboat/__init__.py
}

#: The catalogue lives beside the engines and is a part of its own: names, packs and demands, and plain values.
CATALOGUE = {
    "engines.answers",
    "engines.catalogue",
    "engines.embedding_models",
    "engines.footprint",
    "engines.gguf_head",
    "engines.known",
    "engines.language_models",
    "engines.pose_models",
    "engines.remote",
    "engines.remote_speech",
}


@dataclass(frozen=True)
class Edge:
    """One import: where it stands, and the module of ours that it names."""

    file: str
    line: int
    importer: str
    imported: str


def edges(package: Path) -> list[Edge]:
    """All imports of modules of ``package`` by modules of ``package``; names without the package's own."""
    modules = {_name(package, file): file for file in package.rglob("*.py")}
    found = []
    for name, file in modules.items():
        tree = ast.parse(file.read_text("utf-8"))
        for line, target in _imports(tree, package.name, name, file.name == "__init__.py"):
            found.append(Edge(str(file.relative_to(package)), line, name, _existing(target, modules)))
    return found


def violations(package: Path) -> list[str]:
    """A line for each import that the table does not allow."""
    bad = []
    for edge in edges(package):
        importer, imported = part(edge.importer), part(edge.imported)
        allowed = MAY_IMPORT.get(importer)
        if allowed is None:
            bad.append(f"{edge.file}: the package {importer!r} is not in the table")
        elif imported != importer and imported not in allowed:
            bad.append(f"{edge.file}:{edge.line}: {importer} imports {imported} ({edge.imported or package.name})")
    return bad


def part(module: str) -> str:
    """The part of the table that a module belongs to."""
    first, *rest = module.split(".")
    if module == "":
        return "root"
    if module in CATALOGUE:
        return "catalogue"
    if first == "pipelines":
        return "workflows" if not rest or rest[-1].endswith("workflow") or len(rest) == 1 else "steps"
    if first == "__main__":
        return "cli"
    return first if rest or first in MAY_IMPORT or first in ("pipelines", "service") else "base"


def _name(package: Path, file: Path) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _existing(target: str, modules: dict[str, Path]) -> str:
    """The longest beginning of a dotted name that is a module: the rest is a name inside it."""
    while target and target not in modules:
        target = target.rpartition(".")[0]
    return target


def _imports(tree: ast.AST, package: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                here = [package, *(module.split(".") if module else [])]
                up = here[: len(here) - node.level + is_package]
                origin = ".".join([*up, origin]).rstrip(".")
            names = [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            names = _called(node)
        else:
            continue
        for name in names:
            if name == package or name.startswith(package + "."):
                yield getattr(node, "lineno", 0), name[len(package) + 1 :]


def _called(node: ast.Call) -> list[str]:
    function = node.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called not in ("import_module", "__import__") or not node.args:
        return []
    first = node.args[0]
    return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
