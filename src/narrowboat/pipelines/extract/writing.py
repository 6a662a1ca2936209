"""Writing answers: JSON, Markdown and CSV, one answer in memory at a time. Loads in workers only.

Covers: the step :func:`write`, how each format looks.
Does not cover: where outputs go and how they are named (``workflow``), whole files or none (``media/beside``).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from narrowboat import disk
from narrowboat.errors import UsageError
from narrowboat.media import beside
from narrowboat.values import Json

VERSION = 1
_COUNTS = ("input_tokens", "output_tokens")
_COLUMNS = ("number", "name", "pages", "status", "answer", *_COUNTS, "note", "error")


def write(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step. Inputs: ``answers``, the path of a file with the answer of each section that has one, a line each and in
    order; ``sections`` (``number``, ``name``, ``pages``, ``note``, ``error``); ``source``, ``document``, ``warnings``,
    ``by``, ``prompt``, ``engine``; ``targets``, a list of ``{"format": "json"|"md"|"csv", "path"}``.

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        OutputError, DiskFull: a target can't be written; nothing partial is left behind.
    """
    targets = [(str(target["format"]), Path(target["path"])) for target in inputs["targets"]]
    paths = [path for _, path in targets]
    beside.check_targets(paths)
    size = Path(inputs["answers"]).stat().st_size
    for folder in {path.parent for path in paths}:
        disk.require(folder, size, "writing answers", floor=0, hint=beside.HINT)
    with beside.written(paths) as files:
        writers = [(path, _writer(kind)(file, inputs)) for (kind, path), file in zip(targets, files, strict=True)]
        for section in _sections(inputs):
            for path, writer in writers:
                with beside.explained(path):
                    writer.push(section)
        for path, writer in writers:
            with beside.explained(path):
                writer.finish()
    return {"outputs": [{"format": kind, "path": str(path), "bytes": path.stat().st_size} for kind, path in targets]}


def _sections(inputs: dict[str, Any]) -> Iterator[dict[str, Json]]:
    """Each section with its status, and its answer where there is one."""
    with Path(inputs["answers"]).open("rb") as file:
        for section in inputs["sections"]:
            known = {name: section[name] for name in ("number", "name", "pages")}
            if section["error"] is not None:
                told = {name: section["error"].get(name) for name in ("code", "message", "hint")}
                yield {**known, "status": "failed", "answer": None, "note": section["note"], "error": told}
                continue
            found = json.loads(file.readline())
            answer = found["text"] if found.get("value") is None else found["value"]
            nothing = found.get("quotes") == []
            made = {
                **known,
                "status": "nothing_found" if nothing else "answered",
                "answer": None if nothing else answer,
            }
            made |= {"usage": found["usage"], "made_by": found["made_by"], "note": section["note"]}
            yield {**made, "quotes": found["quotes"]} if found.get("quotes") else made


class _AsJson:
    """One object: the document, what was asked, the sections in order, and what all of them used."""

    def __init__(self, file: TextIO, inputs: dict[str, Any]) -> None:
        self._file = file
        self._counts: dict[str, int | None] = dict.fromkeys(_COUNTS)
        self._failed = self._first = 0
        document, engine = inputs["document"], inputs["engine"]
        told = {"version": VERSION, "source": inputs["source"], **document, "warnings": inputs["warnings"]}
        told |= {"prompt": inputs["prompt"], "engine": engine, "sections_by": inputs["by"]}
        self._file.write(json.dumps(told, indent=2, ensure_ascii=False)[:-2] + ',\n  "sections": [')

    def push(self, section: dict[str, Json]) -> None:
        """Take a section."""
        text = json.dumps(section, indent=2, ensure_ascii=False).replace("\n", "\n    ")
        self._file.write(("," if self._first else "") + f"\n    {text}")
        self._first = 1
        self._failed += section["status"] == "failed"
        for name in _COUNTS:
            count = (section.get("usage") or {}).get(name)
            self._counts[name] = self._counts[name] if count is None else (self._counts[name] or 0) + count

    def finish(self) -> None:
        """Write the end."""
        self._file.write(f'\n  ],\n  "failed": {self._failed},\n  "usage": {json.dumps(self._counts)}\n}}\n')


class _AsMarkdown:
    """A heading for each section; quotes with their pages."""

    def __init__(self, file: TextIO, inputs: dict[str, Any]) -> None:
        self._file = file
        made_by = inputs["engine"]
        self._file.write(f"# {inputs['document']['title'] or inputs['source']}\n\n")
        self._file.write(f"{inputs['prompt']}\n\nAnswered by {made_by['name']} ({made_by['kind']}).\n")
        for warning in inputs["warnings"]:
            self._file.write(f"\nNote: {warning}.\n")

    def push(self, section: dict[str, Json]) -> None:
        """Take a section."""
        pages = f"page{'s' * (not section['pages'].isdigit())} {section['pages']}"
        self._file.write(f"\n## {section['number']}. {section['name']} ({pages})\n\n")
        self._file.write(f"{_marked(section)}\n")
        if section["note"]:
            self._file.write(f"\nNote: {section['note']}.\n")

    def finish(self) -> None:
        """Nothing comes after the last section."""


class _AsCsv:
    """A line for each section; answers that are JSON as JSON."""

    def __init__(self, file: TextIO, inputs: dict[str, Any]) -> None:
        self._lines = csv.writer(file, lineterminator="\n")
        self._lines.writerow(_COLUMNS)

    def push(self, section: dict[str, Json]) -> None:
        """Take a section."""
        values = {**section, **(section.get("usage") or {}), "error": (section.get("error") or {}).get("message")}
        values["answer"] = None if section["answer"] is None else _plain(section["answer"])
        self._lines.writerow(["" if values.get(name) is None else values[name] for name in _COLUMNS])

    def finish(self) -> None:
        """Nothing comes after the last line."""


_WRITERS: dict[str, Any] = {"json": _AsJson, "md": _AsMarkdown, "csv": _AsCsv}


def _writer(kind: str) -> Any:
    if kind not in _WRITERS:
        raise UsageError(f"{kind!r} is not an output format", hint=f"one of {', '.join(_WRITERS)}")
    return _WRITERS[kind]


def _marked(section: dict[str, Json]) -> str:
    if section["status"] == "failed":
        return f"**Failed:** {section['error']['message']}."
    if section["status"] == "nothing_found":
        return "Nothing in this section answers that."
    if "quotes" in section:
        return "\n>\n".join(f"> {quote['text']} (page {quote['page']})" for quote in section["quotes"])
    answer = section["answer"]
    return answer if isinstance(answer, str) else f"```json\n{json.dumps(answer, indent=2, ensure_ascii=False)}\n```"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
