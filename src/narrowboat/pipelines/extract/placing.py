"""Giving files of sections their names and places, and writing which they are. Loads in workers only.

Covers: the step :func:`place`; names that any file system takes; the steps' own JSON, :func:`list_sections`.
Does not cover: cutting (``media/pdf_cut``).
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

from narrowboat import context, disk
from narrowboat.config import part_path
from narrowboat.errors import OutputError
from narrowboat.media import beside
from narrowboat.values import Json

_LONGEST = 60  # characters of a section's name in a file's
_OURS = re.compile(r"\d{3,4}-.*\.pdf|\..*\.part")


def place(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step. Inputs: ``sections`` (``number``, ``name``, ``pages``, ``error``, and ``file``: its path in scratch, or
    None), ``source``, ``pages``, ``by``, ``warnings``; ``targets``, one ``{"format", "path"}``: where the list of the
    files goes. The files go to a folder of that name, without its last ending.

    Returns:
        ``outputs``: ``format``, ``path``, ``bytes``.

    Raises:
        OutputError, DiskFull: something can't be written. The list is written last.
    """
    (target,) = inputs["targets"]
    path = Path(target["path"])
    beside.check_targets([path])
    folder = path.with_suffix("")
    _make(folder)
    listed = []
    for count, section in enumerate(inputs["sections"], 1):
        told = {name: section[name] for name in ("number", "name", "pages")}
        if section["file"] is None:
            error = {name: section["error"].get(name) for name in ("code", "message", "hint")}
            listed.append({**told, "file": None, "error": error})
            continue
        name = file_name(section["number"], section["name"])
        size = _copy(Path(section["file"]), folder / name)
        listed.append({**told, "file": f"{folder.name}/{name}", "bytes": size})
        context.progress(count / len(inputs["sections"]), "place")
    _remove_others(folder, {Path(each["file"]).name for each in listed if each["file"]})
    return list_sections({**inputs, "sections": listed})


def list_sections(inputs: dict[str, Any]) -> dict[str, Json]:
    """A step: ``sections`` as they are to the one target, as `--sections` takes them; other inputs as :func:`place`."""
    (target,) = inputs["targets"]
    path = Path(target["path"])
    beside.check_targets([path])
    told = {"version": 1, "source": inputs["source"], "pages": inputs["pages"], "sections_by": inputs["by"]}
    told |= {"warnings": inputs["warnings"], "sections": inputs["sections"]}
    with beside.written([path]) as (file,), beside.explained(path):
        file.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return {"outputs": [{"format": target["format"], "path": str(path), "bytes": path.stat().st_size}]}


def file_name(number: int, name: str) -> str:
    """``001-introduction.pdf``: the number tells sections of one name apart."""
    kept = "".join(c if c.isalnum() else "-" for c in unicodedata.normalize("NFC", name).lower())
    short = re.sub("-+", "-", kept)[:_LONGEST].strip("-")
    while len(short.encode()) > 3 * _LONGEST:
        short = short[:-1]
    return f"{number:03}-{short or 'section'}.pdf"


def _make(folder: Path) -> None:
    with beside.explained(folder):
        if folder.is_dir() and not folder.is_symlink():
            others = [each.name for each in folder.iterdir() if not _OURS.fullmatch(each.name)]
            if others:
                raise OutputError(
                    f"{folder} has files that are not of this kind ({others[0]})",
                    hint="choose another folder with --out",
                    path=str(folder),
                )
        folder.mkdir(parents=True, exist_ok=True)


def _copy(source: Path, target: Path) -> int:
    """Beside its place first, and then renamed; its bytes."""
    part = part_path(target)
    disk.require(target, source.stat().st_size, target.name, floor=0, hint=beside.HINT)
    with beside.explained(target):
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    beside.sync_folder(target.parent)
    return target.stat().st_size


def _remove_others(folder: Path, names: set[str]) -> None:
    """Files of an earlier time that are of this kind, and no section any more."""
    for each in folder.iterdir():
        if each.name not in names and _OURS.fullmatch(each.name):
            with contextlib.suppress(OSError):
                each.unlink()
